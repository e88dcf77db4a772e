// Command apiserver is as much of a Kubernetes cluster as Kuberhealthy needs: an API server
// that keeps everything in memory, and a kubelet that runs pods as local processes.
//
// It prints the address it listens on and runs until its standard input is closed.
// Besides the API of Kubernetes it has /faults (see faults.go).
package main

import (
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"os"
)

func main() {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		log.Fatal(err)
	}
	store := newStore()
	kubelet := newKubelet(store)
	go kubelet.run()
	faults := &faults{next: newAPI(store, kubelet)}
	go func() { log.Fatal(http.Serve(listener, faults)) }()
	fmt.Println(listener.Addr())
	_, _ = io.Copy(io.Discard, os.Stdin)
	kubelet.stop()
}
