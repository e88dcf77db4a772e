package main

import (
	"fmt"
	"strconv"
	"sync"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/uuid"
	"k8s.io/apimachinery/pkg/watch"
)

// A resource is one that the API knows, by its plural.
type resource struct {
	group, version, plural, kind string
	hasStatus                    bool // has a subresource for its status
}

var resources = []resource{
	{"", "v1", "pods", "Pod", true},
	{"", "v1", "events", "Event", false},
	{"comcast.github.io", "v1", "khchecks", "KuberhealthyCheck", false},
	{"comcast.github.io", "v1", "khjobs", "KuberhealthyJob", false},
	{"comcast.github.io", "v1", "khstates", "KuberhealthyState", false},
	{"kuberhealthy.github.io", "v2", "healthchecks", "HealthCheck", true},
}

func (r resource) apiVersion() string {
	if r.group == "" {
		return r.version
	}
	return r.group + "/" + r.version
}

type object = unstructured.Unstructured

type key struct{ plural, namespace, name string }

type event struct {
	version int
	plural  string
	kind    watch.EventType
	object  *object
}

// For so many changes a watch may be late.
const history = 5000

// A store keeps objects, which nobody may modify once they are in it, and what changed.
type store struct {
	mu      sync.Mutex
	changed *sync.Cond
	objects map[key]*object
	events  []event // without gaps, up to version
	version int
}

func newStore() *store {
	s := &store{objects: map[key]*object{}}
	s.changed = sync.NewCond(&s.mu)
	return s
}

func (s *store) get(k key) *object {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.objects[k]
}

// list returns the objects of a resource, and the version that they are of.
func (s *store) list(plural string) ([]*object, int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	var found []*object
	for k, o := range s.objects {
		if k.plural == plural {
			found = append(found, o)
		}
	}
	return found, s.version
}

// create keeps a new object and returns it, or nil where there is one of its name.
func (s *store) create(r resource, o *object) *object {
	s.mu.Lock()
	defer s.mu.Unlock()
	k := key{r.plural, o.GetNamespace(), o.GetName()}
	if s.objects[k] != nil {
		return nil
	}
	o.SetAPIVersion(r.apiVersion())
	o.SetKind(r.kind)
	o.SetUID(types.UID(uuid.NewUUID()))
	o.SetCreationTimestamp(metav1.NewTime(time.Now()))
	return s.record(k, watch.Added, o)
}

// update replaces an object by what change makes of a copy of it, and returns it.
// It returns nil where there is none, or an error where change does.
func (s *store) update(k key, change func(*object) error) (*object, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.objects[k] == nil {
		return nil, nil
	}
	o := s.objects[k].DeepCopy()
	if err := change(o); err != nil {
		return nil, err
	}
	return s.record(k, watch.Modified, o), nil
}

func (s *store) remove(k key) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if o := s.objects[k]; o != nil {
		s.record(k, watch.Deleted, o.DeepCopy())
	}
}

func (s *store) record(k key, kind watch.EventType, o *object) *object {
	s.version++
	o.SetResourceVersion(strconv.Itoa(s.version))
	s.objects[k] = o
	if kind == watch.Deleted {
		delete(s.objects, k)
	}
	s.events = append(s.events, event{s.version, k.plural, kind, o})
	if len(s.events) > 2*history {
		s.events = append([]event(nil), s.events[history:]...)
	}
	s.changed.Broadcast()
	return o
}

// after waits for what changed after a version, until gone is true.
func (s *store) after(version int, gone func() bool) ([]event, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for s.version <= version && !gone() {
		s.changed.Wait()
	}
	missed := s.version - version
	if missed > len(s.events) {
		return nil, fmt.Errorf("too old resource version: %d (%d)", version, s.version)
	}
	return s.events[len(s.events)-missed:], nil
}
