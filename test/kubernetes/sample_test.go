// Package kubernetes checks the sample of devops/kubernetes with the API's own
// types and its own rules for pods. It is a module of its own: the product needs
// none of this.
package kubernetes

import (
	"bytes"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	policyv1 "k8s.io/api/policy/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/pod-security-admission/api"
	"k8s.io/pod-security-admission/policy"
	"sigs.k8s.io/yaml"
)

const sample = "../../devops/kubernetes/component.yaml"

// workload is what starts pods.
type workload struct {
	name     string
	template corev1.PodTemplateSpec
}

func (w workload) container() corev1.Container { return w.template.Spec.Containers[0] }

// env is what the container is told itself; what it shares with the others is
// not here.
func (w workload) env(name string) string {
	for _, variable := range w.container().Env {
		if variable.Name == name {
			return variable.Value
		}
	}
	return ""
}

// objects are all documents of the sample, decoded strictly: a field that the
// API does not know, or a value of the wrong kind, is an error.
type objects struct {
	workloads   []workload
	deployments map[string]appsv1.Deployment
	services    []corev1.Service
	budgets     []policyv1.PodDisruptionBudget
	config      corev1.ConfigMap
}

func decode(t *testing.T, text []byte) (objects, error) {
	t.Helper()
	all := objects{deployments: map[string]appsv1.Deployment{}}
	for _, document := range bytes.Split(text, []byte("\n---\n")) {
		var kind metav1.TypeMeta
		if err := yaml.Unmarshal(document, &kind); err != nil {
			return all, err
		}
		var err error
		switch kind.APIVersion + " " + kind.Kind {
		case "v1 ConfigMap":
			err = yaml.UnmarshalStrict(document, &all.config)
		case "v1 Service":
			var one corev1.Service
			err = yaml.UnmarshalStrict(document, &one)
			all.services = append(all.services, one)
		case "policy/v1 PodDisruptionBudget":
			var one policyv1.PodDisruptionBudget
			err = yaml.UnmarshalStrict(document, &one)
			all.budgets = append(all.budgets, one)
		case "batch/v1 Job":
			var one batchv1.Job
			err = yaml.UnmarshalStrict(document, &one)
			all.workloads = append(all.workloads, workload{one.Name, one.Spec.Template})
		case "apps/v1 Deployment":
			var one appsv1.Deployment
			err = yaml.UnmarshalStrict(document, &one)
			all.deployments[one.Name] = one
			all.workloads = append(all.workloads, workload{one.Name, one.Spec.Template})
		default:
			t.Fatalf("a document of an unexpected kind: %q", kind)
		}
		if err != nil {
			return all, err
		}
	}
	return all, nil
}

func read(t *testing.T) ([]byte, objects) {
	t.Helper()
	text, err := os.ReadFile(sample)
	if err != nil {
		t.Fatal(err)
	}
	all, err := decode(t, text)
	if err != nil {
		t.Fatal(err)
	}
	if len(all.workloads) != 4 || len(all.services) != 1 || len(all.config.Data) == 0 {
		t.Fatalf("something is missing: %d workloads, %d services", len(all.workloads), len(all.services))
	}
	return text, all
}

// The control: a typing error in a field's name does not pass.
func TestTheDecodingIsStrict(t *testing.T) {
	text, _ := read(t)
	for _, change := range [][2]string{
		{"enableServiceLinks: false", "enableServiceLink: false"},
		{"replicas: 2", "replicas: two"},
		{"failureThreshold: 60", "failureTreshold: 60"},
	} {
		changed := bytes.Replace(text, []byte(change[0]), []byte(change[1]), 1)
		if bytes.Equal(changed, text) {
			t.Errorf("the sample has no %q", change[0])
		}
		if _, err := decode(t, changed); err == nil {
			t.Errorf("%q is decoded", change[1])
		}
	}
}

// A namespace that enforces the restricted standard takes every pod.
func TestPodsAreRestricted(t *testing.T) {
	_, all := read(t)
	rules, err := policy.NewEvaluator(policy.DefaultChecks(), nil)
	if err != nil {
		t.Fatal(err)
	}
	restricted := api.LevelVersion{Level: api.LevelRestricted, Version: api.LatestVersion()}
	verdict := func(w workload) policy.AggregateCheckResult {
		return policy.AggregateCheckResults(rules.EvaluatePod(restricted, &w.template.ObjectMeta, &w.template.Spec))
	}
	for _, w := range all.workloads {
		if v := verdict(w); !v.Allowed {
			t.Errorf("%s: %s", w.name, v.ForbiddenDetail())
		}
		if read := w.container().SecurityContext.ReadOnlyRootFilesystem; read == nil || !*read {
			t.Errorf("%s: its root file system can be written", w.name)
		}
		if links := w.template.Spec.EnableServiceLinks; links == nil || *links {
			t.Errorf("%s: a Service called rabbitmq would set RABBITMQ_PORT", w.name)
		}
		// The control: without the security contexts it is not allowed.
		w.template.Spec.SecurityContext = nil
		if verdict(w).Allowed {
			t.Errorf("%s: the rules allow anything", w.name)
		}
	}
}

// Kubernetes waits longer than entrypoint, and entrypoint longer than its drain.
func TestStoppingFits(t *testing.T) {
	_, all := read(t)
	grace, err := time.ParseDuration(all.config.Data["ENTRYPOINT_GRACE"])
	if err != nil {
		t.Fatal(err)
	}
	for name, d := range all.deployments {
		seconds := d.Spec.Template.Spec.TerminationGracePeriodSeconds
		if seconds == nil || time.Duration(*seconds)*time.Second <= grace {
			t.Errorf("%s: terminationGracePeriodSeconds is not above ENTRYPOINT_GRACE", name)
		}
	}
	drain, err := time.ParseDuration(workload{"", all.deployments["component-web"].Spec.Template}.env("ENTRYPOINT_DRAIN"))
	if err != nil || drain >= grace {
		t.Errorf("ENTRYPOINT_DRAIN of web: %v, %v", drain, err)
	}
}

// Every pod fails closed, says its mode, and is selected by its own Deployment.
func TestModes(t *testing.T) {
	_, all := read(t)
	if all.config.Data["ENTRYPOINT_DECRYPT_FAILURE"] != "exit" {
		t.Error("a value that cannot be decrypted is used as it is")
	}
	var modes []string
	for _, w := range all.workloads {
		modes = append(modes, w.env("APP_RUN_MODE"))
		var sources []string
		for _, from := range w.container().EnvFrom {
			if from.ConfigMapRef != nil {
				sources = append(sources, "config "+from.ConfigMapRef.Name)
			}
			if from.SecretRef != nil {
				sources = append(sources, "secret "+from.SecretRef.Name)
			}
		}
		if !slices.Equal(sources, []string{"config component", "secret component"}) {
			t.Errorf("%s: its environment comes from %q", w.name, sources)
		}
	}
	slices.Sort(modes)
	if !slices.Equal(modes, []string{"BEAT", "TASK", "WEB", "WORKER"}) {
		t.Errorf("the modes are %q", modes)
	}
	for name, d := range all.deployments {
		selector, err := metav1.LabelSelectorAsMap(d.Spec.Selector)
		if err != nil {
			t.Fatal(err)
		}
		for label, value := range selector {
			if d.Spec.Template.Labels[label] != value {
				t.Errorf("%s does not select its own pods", name)
			}
		}
	}
	beat := all.deployments["component-beat"].Spec
	if *beat.Replicas != 1 || beat.Strategy.Type != appsv1.RecreateDeploymentStrategyType {
		t.Error("there can be two beats at once")
	}
}

// A node's drain leaves some web, and can go on: fewer are demanded than there
// are.
func TestDisruption(t *testing.T) {
	_, all := read(t)
	if len(all.budgets) != 1 {
		t.Fatalf("%d budgets", len(all.budgets))
	}
	budget, web := all.budgets[0].Spec, all.deployments["component-web"].Spec
	selector, err := metav1.LabelSelectorAsMap(budget.Selector)
	if err != nil {
		t.Fatal(err)
	}
	for label, value := range selector {
		if web.Template.Labels[label] != value {
			t.Errorf("the budget is not web's: %s is %s", label, web.Template.Labels[label])
		}
	}
	if least := budget.MinAvailable.IntValue(); len(selector) == 0 || least < 1 || least >= int(*web.Replicas) {
		t.Errorf("%d of %d have to stay", least, *web.Replicas)
	}
}

// The probes ask the admin address, and nothing restarts a pod because of what
// it depends on.
func TestProbes(t *testing.T) {
	_, all := read(t)
	_, port, found := strings.Cut(all.config.Data["ENTRYPOINT_ADMIN"], ":")
	if !found {
		t.Fatal("ENTRYPOINT_ADMIN has no port")
	}
	for name, d := range all.deployments {
		c := workload{name, d.Spec.Template}.container()
		if !slices.ContainsFunc(c.Ports, func(p corev1.ContainerPort) bool { return p.Name == "admin" && port == itoa(p.ContainerPort) }) {
			t.Errorf("%s: there is no port admin of number %s", name, port)
		}
		for path, probe := range map[string]*corev1.Probe{"/startupz": c.StartupProbe, "/livez": c.LivenessProbe} {
			if probe == nil || probe.HTTPGet.Path != path || probe.HTTPGet.Port.StrVal != "admin" {
				t.Errorf("%s: no probe asks %s", name, path)
			}
		}
	}
	web := workload{"", all.deployments["component-web"].Spec.Template}.container()
	if probe := web.ReadinessProbe; probe == nil || probe.HTTPGet.Path != "/readyz" {
		t.Error("web: no probe asks /readyz")
	}
	if target := all.services[0].Spec.Ports[0].TargetPort.StrVal; !slices.ContainsFunc(web.Ports, func(p corev1.ContainerPort) bool { return p.Name == target }) {
		t.Errorf("the Service's target %q is no port of web", target)
	}
}

func itoa(n int32) string { return strconv.Itoa(int(n)) }
