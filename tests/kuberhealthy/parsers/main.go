// Command parsers reads a server's metrics as strictly as those who scrape them do.
//
// For each URL that it gets, one a line, it answers with a line of JSON: what each parser
// objects to, and the label "error" of every check and job as Prometheus reads it.
package main

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log"
	"net/http"
	"os"

	"github.com/prometheus/client_golang/prometheus/testutil/promlint"
	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/model/textparse"
)

// Verdict holds what every parser made of the metrics.
type Verdict struct {
	Problems map[string]string `json:"problems"` // parser -> what it objects to
	Errors   map[string]string `json:"errors"`   // check or job -> its label "error"
}

func main() {
	lines := bufio.NewScanner(os.Stdin)
	answers := json.NewEncoder(os.Stdout)
	for lines.Scan() {
		verdict, err := judge(lines.Text())
		if err != nil {
			log.Fatal(err)
		}
		if err := answers.Encode(verdict); err != nil {
			log.Fatal(err)
		}
	}
}

func judge(url string) (Verdict, error) {
	verdict := Verdict{Problems: map[string]string{}, Errors: map[string]string{}}
	response, err := http.Get(url)
	if err != nil {
		return verdict, err
	}
	defer response.Body.Close()
	text, err := io.ReadAll(response.Body)
	if err != nil {
		return verdict, err
	}
	object := func(parser string, problem error) {
		if problem != nil {
			verdict.Problems[parser] = problem.Error()
		}
	}
	object("expfmt", readByExpfmt(text))
	object("textparse", scrape(text, response.Header.Get("Content-Type"), verdict.Errors))
	object("promlint", lint(text))
	return verdict, nil
}

func readByExpfmt(text []byte) error {
	parser := expfmt.NewTextParser(model.UTF8Validation)
	_, err := parser.TextToMetricFamilies(bytes.NewReader(text))
	return err
}

// scrape reads the metrics as Prometheus does, which chooses its parser by the Content-Type,
// and puts the errors of each check into found.
func scrape(text []byte, contentType string, found map[string]string) error {
	parser, err := textparse.New(text, contentType, labels.NewSymbolTable(), textparse.ParserOptions{})
	if parser == nil {
		return fmt.Errorf("no parser for the Content-Type %q: %w", contentType, err)
	}
	for {
		entry, err := parser.Next()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		if entry != textparse.EntrySeries {
			continue
		}
		var series labels.Labels
		parser.Labels(&series)
		if name := series.Get(model.MetricNameLabel); name == "kuberhealthy_check" || name == "kuberhealthy_job" {
			found[series.Get("check")] = series.Get("error")
		}
	}
}

// lint leaves out what the linter says about style, which is the server's own.
func lint(text []byte) error {
	_, err := promlint.New(bytes.NewReader(text)).Lint()
	return err
}
