# The base is a build argument, so that another registry, a house image or the same base by its
# digest can stand in: --build-arg BASE=debian:trixie-slim@sha256:…
# Debian rather than Alpine: musl resolves names differently under cluster DNS.
ARG BASE=debian:trixie-slim

# khshim with its own interpreter: /opt/khshim works in any image (docs/RUNTIME.md).
FROM ${BASE} AS build
RUN apt-get update && \
    apt-get install --yes --no-install-recommends \
        ca-certificates gcc libc6-dev musl-tools python3 python3-venv && \
    rm -rf /var/lib/apt/lists/*
WORKDIR /src
COPY requirements.txt requirements-build.txt ./
RUN python3 -m venv /build && \
    /build/bin/python -m pip install --no-cache-dir --require-hashes -r requirements-build.txt && \
    /build/bin/python -m pip install --no-cache-dir --no-compile --target /packages \
        --require-hashes -r requirements.txt
COPY . .
RUN /build/bin/python -m pip install --no-compile --no-deps --no-build-isolation \
        --target /packages . && \
    python3 -m runtime.build --packages /packages --into /out/opt/khshim && \
    ln -s /out/opt/khshim /opt/khshim && \
    /opt/khshim/bin/khshim try --json /bin/true

# Nothing but khshim: for an init container, an image volume, or COPY --from.
FROM scratch AS runtime
COPY --from=build /out /
ARG VERSION=0.1.0
ARG SOURCE=""
LABEL org.opencontainers.image.title="khshim" \
      org.opencontainers.image.description="khshim with its own runtime, to be put into any image" \
      org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.source="${SOURCE}" \
      org.opencontainers.image.licenses="MIT"
USER 65532:65532
ENTRYPOINT ["/opt/khshim/bin/khshim"]

FROM ${BASE}
# Tools for the scripts. Set it to your own list, or to nothing.
ARG PACKAGES="curl ca-certificates"
RUN if [ -n "${PACKAGES}" ]; then \
        apt-get update && \
        apt-get install --yes --no-install-recommends ${PACKAGES} && \
        rm -rf /var/lib/apt/lists/*; \
    fi && \
    # A kubelet asks for the uid below alone, and the runtime looks its group up here: without
    # an entry it is 0, and the user has no name. /tmp is what a pod of ours can write to.
    if ! getent passwd 65532 >/dev/null; then \
        echo 'khshim:x:65532:' >>/etc/group && \
        echo 'khshim:x:65532:65532:khshim:/tmp:/usr/sbin/nologin' >>/etc/passwd; \
    fi && \
    # No check needs the rights of another user.
    find / -xdev -type f -perm /6000 -exec chmod a-s {} +
COPY --from=build /out /

ARG VERSION=0.1.0
ARG SOURCE=""
LABEL org.opencontainers.image.title="khshim" \
      org.opencontainers.image.description="Turns any shell or Python script into a Kuberhealthy check" \
      org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.source="${SOURCE}" \
      org.opencontainers.image.licenses="MIT"

# Last, so that a python3 that is installed on top comes before khshim's own.
ENV PATH=${PATH}:/opt/khshim/bin
# Numeric, so that runAsNonRoot can be checked; any other will do as well.
USER 65532:65532
ENTRYPOINT ["/opt/khshim/bin/khshim"]
