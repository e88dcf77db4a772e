package main

import (
	"encoding/json"
	"net/http"
	"regexp"
	"sync"
	"time"
)

// A Fault befalls the requests of one method whose path matches: the first Skip of them
// pass, and the next Count are answered DelaySeconds late, and with Status if it is not 0.
type Fault struct {
	Method       string
	Path         string // a regular expression
	Skip, Count  int
	Status       int
	DelaySeconds float64
}

// faults lets requests fail before they reach the API: those of Kuberhealthy, not those of
// the tests, which name themselves. POST /faults sets a list of faults in place of the last.
type faults struct {
	next http.Handler
	mu   sync.Mutex
	list []*Fault
}

func (f *faults) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if r.URL.Path == "/faults" {
		f.set(w, r)
		return
	}
	if r.UserAgent() != "tests" {
		if fault := f.take(r); fault != nil {
			time.Sleep(time.Duration(fault.DelaySeconds * float64(time.Second)))
			if fault.Status != 0 {
				fail(w, fault.Status, reasons[fault.Status])
				return
			}
		}
	}
	f.next.ServeHTTP(w, r)
}

func (f *faults) set(w http.ResponseWriter, r *http.Request) {
	var list []*Fault
	if err := json.NewDecoder(r.Body).Decode(&list); err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.list = list
}

func (f *faults) take(r *http.Request) *Fault {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, fault := range f.list {
		matches, _ := regexp.MatchString(fault.Path, r.URL.Path)
		if fault.Count == 0 || fault.Method != r.Method || !matches {
			continue
		}
		if fault.Skip > 0 {
			fault.Skip--
			continue
		}
		fault.Count--
		return fault
	}
	return nil
}
