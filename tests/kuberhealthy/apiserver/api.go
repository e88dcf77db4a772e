package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"slices"
	"strconv"
	"strings"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/serializer"
	utiljson "k8s.io/apimachinery/pkg/util/json"
	"k8s.io/apimachinery/pkg/watch"
)

// An api answers requests for objects, always in JSON.
type api struct {
	store   *store
	kubelet *kubelet
	decoder runtime.Decoder
}

func newAPI(s *store, k *kubelet) *api {
	scheme := runtime.NewScheme()
	if err := corev1.AddToScheme(scheme); err != nil {
		panic(err)
	}
	return &api{s, k, serializer.NewCodecFactory(scheme).UniversalDeserializer()}
}

var errConflict = errors.New("conflict")

// What the API server says with a status, as its clients look for it.
var reasons = map[int]string{
	http.StatusNotFound:            "not found",
	http.StatusConflict:            "the object has been modified; please apply your changes to the latest version",
	http.StatusInternalServerError: "etcdserver: request timed out",
}

func fail(w http.ResponseWriter, code int, message string) {
	reason := map[int]metav1.StatusReason{
		http.StatusNotFound:            metav1.StatusReasonNotFound,
		http.StatusConflict:            metav1.StatusReasonConflict,
		http.StatusGone:                metav1.StatusReasonExpired,
		http.StatusUnprocessableEntity: metav1.StatusReasonInvalid,
		http.StatusInternalServerError: metav1.StatusReasonInternalError,
	}[code]
	answer(w, code, metav1.Status{
		TypeMeta: metav1.TypeMeta{APIVersion: "v1", Kind: "Status"},
		Status:   metav1.StatusFailure, Code: int32(code), Reason: reason, Message: message,
	})
}

func answer(w http.ResponseWriter, code int, value any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(code)
	_ = json.NewEncoder(w).Encode(value)
}

// A target is what a path means: /api/v1/namespaces/NAMESPACE/pods/NAME/log, and so on.
type target struct {
	resource resource
	key
	subresource string
}

func (a *api) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	parts := strings.Split(strings.Trim(r.URL.Path, "/"), "/")
	if found := discovery(parts); found != nil {
		answer(w, http.StatusOK, found)
		return
	}
	t, found := find(parts)
	if !found {
		fail(w, http.StatusNotFound, "the server could not find the requested resource")
		return
	}
	body, err := a.read(r)
	if err != nil {
		fail(w, http.StatusBadRequest, err.Error())
		return
	}
	query := r.URL.Query()
	switch {
	case r.Method == http.MethodGet && query.Get("watch") != "" && query.Get("sendInitialEvents") != "":
		fail(w, http.StatusUnprocessableEntity, "sendInitialEvents is forbidden") // so the client lists
	case r.Method == http.MethodGet && query.Get("watch") != "":
		a.watch(w, r, t)
	case r.Method == http.MethodGet && t.name == "":
		a.list(w, r, t)
	case r.Method == http.MethodPost && t.name == "":
		a.create(w, t, body)
	case r.Method == http.MethodGet && t.subresource == "log":
		_, _ = w.Write(a.kubelet.output(t.key)) // also of a pod that has gone
	case a.store.get(t.key) == nil:
		fail(w, http.StatusNotFound, t.plural+" \""+t.name+"\" not found")
	case r.Method == http.MethodGet:
		answer(w, http.StatusOK, a.store.get(t.key))
	case r.Method == http.MethodPut:
		a.update(w, t, body)
	case r.Method == http.MethodDelete || t.subresource == "eviction":
		a.delete(w, t, body)
	default:
		fail(w, http.StatusMethodNotAllowed, r.Method)
	}
}

func find(parts []string) (target, bool) {
	for _, r := range resources {
		prefix := []string{"apis", r.group, r.version}
		if r.group == "" {
			prefix = []string{"api", r.version}
		}
		if len(parts) <= len(prefix) || !slices.Equal(parts[:len(prefix)], prefix) {
			continue
		}
		rest := parts[len(prefix):]
		t := target{resource: r, key: key{plural: r.plural}}
		if len(rest) > 2 && rest[0] == "namespaces" {
			t.namespace, rest = rest[1], rest[2:]
		}
		if rest[0] != r.plural {
			continue
		}
		if len(rest) > 1 {
			t.name = rest[1]
		}
		if len(rest) > 2 {
			t.subresource = rest[2]
		}
		return t, true
	}
	return target{}, false
}

// discovery tells a client which resources there are, for the paths that ask that.
func discovery(parts []string) any {
	path := strings.Join(parts, "/")
	switch path {
	case "version":
		return map[string]string{"major": "1", "minor": "36", "gitVersion": "v1.36.4"}
	case "api":
		return metav1.APIVersions{TypeMeta: metav1.TypeMeta{Kind: "APIVersions"}, Versions: []string{"v1"}}
	case "apis":
		groups := metav1.APIGroupList{TypeMeta: metav1.TypeMeta{Kind: "APIGroupList", APIVersion: "v1"}}
		for _, r := range resources {
			known := func(g metav1.APIGroup) bool { return g.Name == r.group }
			if r.group == "" || slices.ContainsFunc(groups.Groups, known) {
				continue
			}
			version := metav1.GroupVersionForDiscovery{GroupVersion: r.apiVersion(), Version: r.version}
			groups.Groups = append(groups.Groups, metav1.APIGroup{Name: r.group,
				Versions: []metav1.GroupVersionForDiscovery{version}, PreferredVersion: version})
		}
		return groups
	}
	list := metav1.APIResourceList{TypeMeta: metav1.TypeMeta{Kind: "APIResourceList", APIVersion: "v1"}}
	for _, r := range resources {
		if path == "api/"+r.apiVersion() || path == "apis/"+r.apiVersion() {
			list.GroupVersion = r.apiVersion()
			list.APIResources = append(list.APIResources, metav1.APIResource{Name: r.plural, Kind: r.kind,
				Namespaced: true, Verbs: metav1.Verbs{"create", "delete", "get", "list", "update", "watch"}})
		}
	}
	if list.APIResources == nil {
		return nil
	}
	return list
}

// read returns the body of a request, which Go's clients send as protobuf where they can.
func (a *api) read(r *http.Request) (*object, error) {
	body, err := io.ReadAll(r.Body)
	if err != nil || len(body) == 0 {
		return &object{Object: map[string]any{}}, err
	}
	if bytes.HasPrefix(body, []byte("k8s\x00")) {
		decoded, _, err := a.decoder.Decode(body, nil, nil)
		if err != nil {
			return nil, err
		}
		content, err := runtime.DefaultUnstructuredConverter.ToUnstructured(decoded)
		return &object{Object: content}, err
	}
	o := &object{}
	return o, utiljson.Unmarshal(body, &o.Object) // which keeps whole numbers whole
}

func (a *api) create(w http.ResponseWriter, t target, o *object) {
	o.SetNamespace(t.namespace)
	created := a.store.create(t.resource, o)
	if created == nil {
		fail(w, http.StatusConflict, t.plural+" \""+o.GetName()+"\" already exists")
		return
	}
	answer(w, http.StatusCreated, created)
}

// update replaces an object, or its status alone, where the version it was made from is current.
func (a *api) update(w http.ResponseWriter, t target, wanted *object) {
	updated, err := a.store.update(t.key, func(o *object) error {
		if v := wanted.GetResourceVersion(); v != "" && v != o.GetResourceVersion() {
			return errConflict
		}
		status := o.Object["status"]
		if t.subresource == "status" {
			o.Object["status"] = wanted.Object["status"]
			return nil
		}
		uid, created := o.GetUID(), o.GetCreationTimestamp()
		o.Object = wanted.Object
		o.SetNamespace(t.namespace) // v2 leaves it out
		o.SetUID(uid)
		o.SetCreationTimestamp(created)
		o.SetAPIVersion(t.resource.apiVersion())
		o.SetKind(t.resource.kind)
		if t.resource.hasStatus && status != nil {
			o.Object["status"] = status
		}
		return nil
	})
	switch {
	case err != nil:
		fail(w, http.StatusConflict, reasons[http.StatusConflict])
	case updated == nil:
		fail(w, http.StatusNotFound, reasons[http.StatusNotFound])
	default:
		answer(w, http.StatusOK, updated)
	}
}

// delete removes an object; a pod that runs goes when its process has ended.
func (a *api) delete(w http.ResponseWriter, t target, options *object) {
	var gracePeriod *int64
	if seconds, found, _ := unstructured.NestedInt64(options.Object, "gracePeriodSeconds"); found {
		gracePeriod = &seconds
	}
	o := a.store.get(t.key)
	if t.plural != "pods" || !a.kubelet.end(t.key, gracePeriod) {
		a.store.remove(t.key)
	}
	answer(w, http.StatusOK, o)
}

func (a *api) list(w http.ResponseWriter, r *http.Request, t target) {
	matches, err := selector(r, t)
	if err != nil {
		fail(w, http.StatusBadRequest, err.Error())
		return
	}
	all, version := a.store.list(t.plural)
	items := []*object{}
	for _, o := range all {
		if matches(o) {
			items = append(items, o)
		}
	}
	answer(w, http.StatusOK, map[string]any{
		"apiVersion": t.resource.apiVersion(), "kind": t.resource.kind + "List",
		"metadata": map[string]string{"resourceVersion": strconv.Itoa(version)}, "items": items,
	})
}

// watch tells of changes after the version that is asked for; without one, or of version 0,
// it begins with what there is.
func (a *api) watch(w http.ResponseWriter, r *http.Request, t target) {
	matches, err := selector(r, t)
	if err != nil {
		fail(w, http.StatusBadRequest, err.Error())
		return
	}
	w.Header().Set("Content-Type", "application/json")
	encoder, flush := json.NewEncoder(w), w.(http.Flusher).Flush
	flush()
	send := func(kind watch.EventType, value any) {
		_ = encoder.Encode(map[string]any{"type": kind, "object": value})
		flush()
	}
	version, _ := strconv.Atoi(r.URL.Query().Get("resourceVersion"))
	if version == 0 {
		var all []*object
		all, version = a.store.list(t.plural)
		for _, o := range all {
			if matches(o) {
				send(watch.Added, o)
			}
		}
	}
	gone := func() bool { return r.Context().Err() != nil }
	go func() { <-r.Context().Done(); a.store.changed.Broadcast() }()
	for !gone() {
		events, err := a.store.after(version, gone)
		if err != nil {
			send(watch.Error, metav1.Status{Status: metav1.StatusFailure, Code: http.StatusGone,
				Reason: metav1.StatusReasonExpired, Message: err.Error()})
			return
		}
		for _, e := range events {
			version = e.version
			if e.plural == t.plural && matches(e.object) {
				send(e.kind, e.object)
			}
		}
	}
}

// selector returns what decides whether a list or a watch includes an object.
func selector(r *http.Request, t target) (func(*object) bool, error) {
	byLabel, err := labels.Parse(r.URL.Query().Get("labelSelector"))
	if err != nil {
		return nil, err
	}
	byField, err := fields.ParseSelector(r.URL.Query().Get("fieldSelector"))
	if err != nil {
		return nil, err
	}
	return func(o *object) bool {
		if t.namespace != "" && t.namespace != o.GetNamespace() || !byLabel.Matches(labels.Set(o.GetLabels())) {
			return false
		}
		values := fields.Set{}
		for _, requirement := range byField.Requirements() {
			path := strings.Split(requirement.Field, ".")
			values[requirement.Field], _, _ = unstructured.NestedString(o.Object, path...)
		}
		return byField.Matches(values)
	}, nil
}
