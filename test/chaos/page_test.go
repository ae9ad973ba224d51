package chaos

import (
	"encoding/json"
	"net/http"
	"strings"
	"testing"

	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"

	"github.com/codeontap/entrypoint/test/internal/stage"
)

// sample is one line of a metrics page.
type sample struct {
	labels map[string]string
	value  float64
}

// page is a scrape, by metric.
type page map[string][]sample

// scrape reads /metrics on the control socket.
func scrape(t *testing.T, c *stage.Running) page {
	t.Helper()
	code, text := c.Get("/metrics")
	if code != http.StatusOK {
		t.Fatalf("no metrics: %d %s\n%s", code, text, c)
	}
	return parse(t, text)
}

func parse(t *testing.T, text string) page {
	t.Helper()
	parser := expfmt.NewTextParser(model.UTF8Validation)
	families, err := parser.TextToMetricFamilies(strings.NewReader(text))
	if err != nil {
		t.Fatalf("cannot read the metrics: %v\n%s", err, text)
	}
	p := page{}
	for name, family := range families {
		for _, m := range family.GetMetric() {
			labels := map[string]string{}
			for _, l := range m.GetLabel() {
				labels[l.GetName()] = l.GetValue()
			}
			p[name] = append(p[name], sample{labels, m.GetCounter().GetValue() + m.GetGauge().GetValue()})
		}
	}
	return p
}

// sum adds up the samples that keep to all of the labels.
func (p page) sum(name string, labels ...string) (sum float64) {
	for _, s := range p[name] {
		fits := true
		for i := 0; i < len(labels); i += 2 {
			fits = fits && s.labels[labels[i]] == labels[i+1]
		}
		if fits {
			sum += s.value
		}
	}
	return sum
}

// status is what `status --json` says.
type status struct {
	State  string
	Copies []struct {
		Index, PID, Restarts int
		State                string
		LastExit             *struct {
			Code           int
			Signal, Reason string
		} `json:"last_exit"`
	}
	Checks []struct {
		Name string
		Up   bool
	}
}

// ready counts the copies that are.
func (s status) ready() (n int) {
	for _, c := range s.Copies {
		if c.State == "ready" {
			n++
		}
	}
	return n
}

// statusOf asks the control socket; the zero status is no answer.
func statusOf(t *testing.T, c *stage.Running) (s status) {
	t.Helper()
	code, text := c.Get("/status")
	if code != http.StatusOK {
		return s
	}
	if err := json.Unmarshal([]byte(text), &s); err != nil {
		t.Fatalf("cannot read the status: %v\n%s", err, text)
	}
	return s
}
