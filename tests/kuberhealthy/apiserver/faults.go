package main

import (
	"encoding/json"
	"maps"
	"net/http"
	"net/http/httptest"
	"regexp"
	"sync"
	"time"
)

// A Fault befalls the requests of one method whose path matches: the first Skip of them pass,
// and the next Count are delayed, and answered with Status if it is not 0.
type Fault struct {
	Method        string
	Path          string // a regular expression for the path and the query
	Skip, Count   int
	Status        int
	Delay         float64 // seconds before anything is done
	DelayOfAnswer float64 // seconds before the answer, when it has been done
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
	var fault *Fault
	if r.UserAgent() != "tests" {
		fault = f.take(r)
	}
	if fault == nil {
		f.next.ServeHTTP(w, r)
		return
	}
	time.Sleep(seconds(fault.Delay))
	if fault.Status != 0 {
		fail(w, fault.Status, reasons[fault.Status])
		return
	}
	answer := httptest.NewRecorder()
	f.next.ServeHTTP(answer, r)
	time.Sleep(seconds(fault.DelayOfAnswer))
	maps.Copy(w.Header(), answer.Header())
	w.WriteHeader(answer.Code)
	_, _ = w.Write(answer.Body.Bytes())
}

func seconds(n float64) time.Duration { return time.Duration(n * float64(time.Second)) }

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
		matches, _ := regexp.MatchString(fault.Path, r.RequestURI)
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
