package kubernetes

import (
	"fmt"
	"slices"
	"strings"

	"github.com/registry-build/registry-build/config"
)

// allowed asks the workload, then the operator's policy. The refusal names
// the line for each of them.
func (u *update) allowed(w *workload) error {
	if u.f.Trigger.Operator {
		return nil
	}
	names := u.f.Record.Names
	var listed []string
	for name := range strings.SplitSeq(w.Annotations[repositoryAnnotation], ",") {
		if name = strings.TrimSpace(name); name == "" {
			continue
		}
		listed = append(listed, name)
		if slices.ContainsFunc(names, func(n string) bool { return strings.EqualFold(n, name) }) {
			return nil
		}
	}
	target := strings.Join([]string{u.t.Cluster, u.t.Namespace, string(u.t.Kind), u.t.Name}, "/")
	for _, p := range u.kind.o.Policy {
		if config.MatchAny(p.Workloads, target) &&
			slices.ContainsFunc(names, func(n string) bool { return config.MatchAny(p.Repositories, n) }) {
			return nil
		}
	}
	if len(names) == 0 {
		return fmt.Errorf("an image without a source repository may not update %s; triggers of the server file may", where(u.t))
	}
	name := u.name()
	overwrite := ""
	if len(listed) > 0 {
		overwrite = "--overwrite "
	}
	return fmt.Errorf("%s may not update %s; allow it on the workload: kubectl annotate %s%s %s=%s; or in the server file: policy: [{repositories: [%q], workloads: [%q]}]",
		name, where(u.t), overwrite, kubectl(u.t), repositoryAnnotation, strings.Join(append(listed, name), ","), name, target)
}

// name is what people call the source repository, as long as policy may call
// it so, too: a name that another repository had before is nobody's.
func (u *update) name() string {
	names := u.f.Record.Names
	if full := strings.TrimPrefix(u.f.Record.Repository.FullName(), "/"); len(names) == 0 || slices.Contains(names, full) {
		return full
	}
	return names[0]
}
