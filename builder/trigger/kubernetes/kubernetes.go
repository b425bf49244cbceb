package kubernetes

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/agext/levenshtein"
	"k8s.io/apimachinery/pkg/util/validation"

	"github.com/registry-build/registry-build/builder"
	"github.com/registry-build/registry-build/builder/trigger"
	"github.com/registry-build/registry-build/config"
)

const (
	// defaultPatience is how long pods may crash or lack their image before
	// the rollout is given up: a registry's hiccup or a database that comes up
	// a little later is no failure.
	defaultPatience = 30 * time.Second
	// quick is how long the call that patches stays to see the end: rollouts
	// of a second need no second call.
	quick = 2 * time.Second
)

// Options are the operator's.
type Options struct {
	Clusters []config.Cluster
	// Vault opens the kubeconfigs that Clusters name; nil will do where all
	// are in-cluster.
	Vault    builder.Vault
	Policy   []config.Policy
	Registry string        // host of images that are stored without one
	Patience time.Duration // how long new pods may crash or lack their image; 0: 30 s
}

// Kind updates workloads.
type Kind struct {
	o       Options
	clients clients
	now     func() time.Time
}

var _ trigger.Kind = (*Kind)(nil)

// New dials nothing: a cluster that is away is the trouble of the triggers
// that name it.
func New(o Options) (*Kind, error) {
	for _, c := range o.Clusters {
		if !c.InCluster && o.Vault == nil {
			return nil, fmt.Errorf("kubernetes: cluster %s needs a store of credentials", c.Name)
		}
	}
	if o.Patience == 0 {
		o.Patience = defaultPatience
	}
	return &Kind{o: o, clients: clients{vault: o.Vault}, now: time.Now}, nil
}

// Action names the workload.
func (k *Kind) Action(t config.Trigger) string {
	if t.Kubernetes == nil {
		return "kubernetes"
	}
	action := "kubernetes " + where(t.Kubernetes)
	if t.Kubernetes.Container != "" {
		action += ", container " + t.Kubernetes.Container
	}
	return action
}

// Fire patches the workload, or looks how the rollout is that an earlier call
// has begun. It holds its caller for a few seconds at most.
func (k *Kind) Fire(ctx context.Context, f trigger.Firing) (trigger.Answer, error) {
	u, err := k.update(f)
	if err != nil {
		return trigger.Answer{}, err
	}
	if err := ctx.Err(); err != nil {
		return trigger.Answer{Memo: f.Memo}, trigger.Temporary(err, 0)
	}
	u.api, err = k.clients.open(ctx, u.cluster, f)
	if err != nil {
		return trigger.Answer{Memo: f.Memo}, err
	}
	return u.run(ctx, readMemo(f.Memo))
}

// update is one firing at one workload.
type update struct {
	kind    *Kind
	f       trigger.Firing
	t       *config.Kubernetes
	cluster config.Cluster
	api     api
	image   string // what the container gets
}

// update checks what can be checked without the cluster.
func (k *Kind) update(f trigger.Firing) (*update, error) {
	t := f.Trigger.Kubernetes
	switch {
	case t == nil:
		return nil, fmt.Errorf("trigger %q updates no Kubernetes workload", f.Trigger.Name)
	case f.Record.Lane == builder.ForkLane:
		return nil, errors.New("builds of forks update no workloads")
	case f.Record.Digest == "":
		return nil, fmt.Errorf("the build %s and has no image to roll out; a Kubernetes trigger needs on: pushed", f.Record.State)
	}
	if resourceOf(t.Kind).name == "" {
		return nil, fmt.Errorf("there is no kind of workload %q; write deployment, statefulSet, daemonSet or cronJob", t.Kind)
	}
	for _, name := range []string{t.Namespace, t.Name} { // of a build file that another version read
		if len(validation.IsDNS1123Subdomain(name)) > 0 {
			return nil, fmt.Errorf("%q cannot be a workload's name or its namespace: small letters and digits, with - or . between them", name)
		}
	}
	i := slices.IndexFunc(k.o.Clusters, func(c config.Cluster) bool { return c.Name == t.Cluster })
	if i < 0 {
		return nil, k.unknownCluster(t.Cluster)
	}
	image := trigger.Image(k.o.Registry, f.Record)
	if host, _, _ := strings.Cut(image, "/"); !strings.ContainsAny(host, ".:") && host != "localhost" {
		return nil, fmt.Errorf("image %s has no registry's name, so a cluster would look for it elsewhere; this server lacks the address of its own registry", image)
	}
	if len(f.Tags) > 0 {
		image += ":" + f.Tags[0]
	}
	return &update{kind: k, f: f, t: t, cluster: k.o.Clusters[i], image: image + "@" + f.Record.Digest}, nil
}

func (k *Kind) unknownCluster(name string) error {
	if len(k.o.Clusters) == 0 {
		return fmt.Errorf("there is no cluster %q: this server has none; the operator adds it with clusters: in the server file", name)
	}
	var names []string
	best, distance := "", 3
	for _, c := range k.o.Clusters {
		names = append(names, c.Name)
		if d := levenshtein.Distance(name, c.Name, nil); d < distance && d < len(c.Name) {
			best, distance = c.Name, d
		}
	}
	hint := "this server has " + strings.Join(names, ", ")
	if best != "" {
		hint = fmt.Sprintf("did you mean %q?", best)
	}
	return fmt.Errorf("there is no cluster %q; %s", name, hint)
}

// run begins, or goes on where the call before has stopped.
func (u *update) run(ctx context.Context, m memo) (trigger.Answer, error) {
	switch {
	case m.Failed != "":
		return u.rollBack(ctx, m)
	case m.Image != "":
		return u.watch(ctx, nil, m, 0)
	}
	w, m, answer, err := u.begin(ctx)
	if w == nil {
		return answer, err
	}
	return u.watch(ctx, w, m, quick)
}
