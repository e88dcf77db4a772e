# The base is a build argument, so that another registry, a house image or the same base by its
# digest can stand in: --build-arg BASE=python:3.13.9-slim-trixie@sha256:…
# Debian rather than Alpine: musl resolves names differently under cluster DNS.
ARG BASE=python:3.13.9-slim-trixie

FROM ${BASE} AS build
WORKDIR /src
COPY requirements.txt requirements-build.txt ./
# One environment builds, the other is what goes into the image: it has no pip.
RUN python3 -m venv /build && \
    /build/bin/python -m pip install --no-cache-dir --require-hashes -r requirements-build.txt && \
    python3 -m venv --without-pip /opt/khshim && \
    /build/bin/python -m pip --python /opt/khshim install --no-cache-dir --no-compile \
        --require-hashes -r requirements.txt
COPY . .
RUN /build/bin/python -m pip wheel --no-deps --no-build-isolation --wheel-dir /wheel . && \
    /build/bin/python -m pip --python /opt/khshim install --no-compile --no-deps /wheel/*.whl && \
    # Isolated: neither PYTHON* variables nor the working directory reach khshim.
    sed -i '1s/$/ -I/' /opt/khshim/bin/khshim && \
    # Never checked against the source: nobody could write it again in a read-only image.
    python3 -m compileall -q --invalidation-mode unchecked-hash /opt/khshim/lib

FROM ${BASE}
# Tools for the scripts. Set it to your own list, or to nothing.
ARG PACKAGES="curl ca-certificates"
RUN if [ -n "${PACKAGES}" ]; then \
        apt-get update && \
        apt-get install --yes --no-install-recommends ${PACKAGES} && \
        rm -rf /var/lib/apt/lists/*; \
    fi && \
    if python3 -m pip --version >/dev/null 2>&1; then \
        python3 -m pip uninstall --yes --root-user-action=ignore pip; \
    fi && \
    # A kubelet asks for the uid below alone, and the runtime looks its group up here: without
    # an entry it is 0, and the user has no name. /tmp is what a pod of ours can write to.
    if ! getent passwd 65532 >/dev/null; then \
        echo 'khshim:x:65532:' >>/etc/group && \
        echo 'khshim:x:65532:65532:khshim:/tmp:/usr/sbin/nologin' >>/etc/passwd; \
    fi && \
    # No check needs the rights of another user.
    find / -xdev -type f -perm /6000 -exec chmod a-s {} +
COPY --from=build /opt/khshim /opt/khshim
# Official Python images come without the standard library's bytecode. One run compiles
# just what khshim imports, which a run as another user could not keep.
RUN /opt/khshim/bin/khshim try --json /bin/true

ARG VERSION=0.1.0
ARG SOURCE=""
LABEL org.opencontainers.image.title="khshim" \
      org.opencontainers.image.description="Turns any shell or Python script into a Kuberhealthy check" \
      org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.source="${SOURCE}" \
      org.opencontainers.image.licenses="MIT"

ENV PATH=/opt/khshim/bin:${PATH}
# Numeric, so that runAsNonRoot can be checked; any other will do as well.
USER 65532:65532
ENTRYPOINT ["/opt/khshim/bin/khshim"]
