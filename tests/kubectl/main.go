// Reads a stream of YAML documents as the tools do that bring it into a cluster, and writes
// each document as one line of JSON: {"kubectl": …, "kustomize": …}. The first is what
// kubectl, Helm and Argo CD read (sigs.k8s.io/yaml, with YAML 1.1's words), the second what
// kustomize's parser does (go-yaml v3, with YAML 1.2's).
package main

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"

	"sigs.k8s.io/yaml"
	goyaml "sigs.k8s.io/yaml/goyaml.v3"
)

type readings struct {
	Kubectl   json.RawMessage `json:"kubectl"`
	Kustomize any             `json:"kustomize"`
}

func main() {
	if err := run(os.Stdin, os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func run(in io.Reader, out io.Writer) error {
	documents, err := split(bufio.NewReader(in))
	if err != nil {
		return err
	}
	for _, document := range documents {
		found, err := read(document)
		if err != nil {
			return fmt.Errorf("%w in\n%s", err, document)
		}
		if string(found.Kubectl) == "null" { // blank, or comments alone: kubectl passes over it
			continue
		}
		if err := json.NewEncoder(out).Encode(found); err != nil {
			return err
		}
	}
	return nil
}

// split returns the documents as kubectl separates them, before any of them is parsed: at
// each line that begins with three dashes, whatever it may belong to.
func split(in *bufio.Reader) ([][]byte, error) {
	var documents [][]byte
	var document []byte
	for {
		line, err := in.ReadBytes('\n')
		if err != nil && !errors.Is(err, io.EOF) {
			return nil, err
		}
		if bytes.HasPrefix(line, []byte("---")) {
			documents = append(documents, document)
			document = nil
		} else {
			document = append(document, line...)
		}
		if err != nil {
			return append(documents, document), nil
		}
	}
}

func read(document []byte) (readings, error) {
	var found readings
	var err error
	if found.Kubectl, err = yaml.YAMLToJSONStrict(document); err != nil {
		return found, fmt.Errorf("kubectl: %w", err)
	}
	if err := goyaml.Unmarshal(document, &found.Kustomize); err != nil {
		return found, fmt.Errorf("kustomize: %w", err)
	}
	return found, nil
}
