package metrics

import (
	"strconv"
	"strings"

	dto "github.com/prometheus/client_model/go"
)

// text writes gauges and counters in the text format 0.0.4
// (prometheus.io/docs/instrumenting/exposition_formats). Prometheus' own expfmt
// writes the same, and a test compares the two; but importing it costs every
// start of the binary a third of a millisecond of package initialisation
// (measured), scraped or not.
func text(families []*dto.MetricFamily) string {
	var b strings.Builder
	for _, family := range families {
		name := family.GetName()
		kind, value := "gauge", func(m *dto.Metric) float64 { return m.GetGauge().GetValue() }
		if family.GetType() == dto.MetricType_COUNTER {
			kind, value = "counter", func(m *dto.Metric) float64 { return m.GetCounter().GetValue() }
		}
		b.WriteString("# HELP " + name + " " + escapeHelp(family.GetHelp()) + "\n# TYPE " + name + " " + kind + "\n")
		for _, metric := range family.GetMetric() {
			b.WriteString(name)
			separator := byte('{')
			for _, label := range metric.GetLabel() {
				b.WriteByte(separator)
				b.WriteString(label.GetName() + `="` + escapeLabel(label.GetValue()) + `"`)
				separator = ','
			}
			if separator == ',' {
				b.WriteByte('}')
			}
			b.WriteString(" " + strconv.FormatFloat(value(metric), 'g', -1, 64) + "\n")
		}
	}
	return b.String()
}

func escapeHelp(s string) string {
	return strings.ReplaceAll(strings.ReplaceAll(s, `\`, `\\`), "\n", `\n`)
}

func escapeLabel(s string) string { return strings.ReplaceAll(escapeHelp(s), `"`, `\"`) }
