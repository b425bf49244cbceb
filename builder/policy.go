package builder

import (
	"fmt"
	"slices"
	"strings"

	"github.com/registry-build/registry-build/config"
)

// ReservedCredential says whose own a credential is that nobody's build or
// trigger may use, the operator's neither; "" for what is nobody's.
func ReservedCredential(name string) (whose string) {
	switch {
	case name == reservedGitHub || strings.HasPrefix(name, reservedGitHub+"-"):
		return "the GitHub App's own"
	case strings.HasPrefix(name, GitLabWebhookSecret):
		return "that of our webhooks at GitLab"
	}
	return ""
}

const reservedGitHub = "github-app"

// GitLabWebhookSecret begins the name of the credential that signs the webhooks
// of one GitLab server; the server's instance name follows.
const GitLabWebhookSecret = "gitlab-webhook-"

// MayUse holds a credential against the operator's policy. names are what a
// policy may call the source repository: Build.Names. The error is a sentence
// that says what the operator would write, and is ErrDenied.
func MayUse(policy []config.Policy, names []string, credential string) error {
	if whose := ReservedCredential(credential); whose != "" {
		return denied(fmt.Sprintf("credential %s is %s; no build and no trigger may use it", credential, whose))
	}
	for _, entry := range policy {
		if speaksOf(entry, names) && config.MatchAny(entry.Credentials, credential) {
			return nil
		}
	}
	if len(names) == 0 {
		return denied(fmt.Sprintf("credential %s may not be used here: this belongs to no repository that a policy could name", credential))
	}
	name := names[len(names)-1] // the one that people know it by now
	return denied(fmt.Sprintf("credential %s may not be used by %s; the operator allows it in the server file with policy: [{repositories: [%s], credentials: [%s]}]",
		credential, name, yamlFlow(name), credential))
}

// speaksOf reports whether an entry of the policy is about the repository that
// has these names.
func speaksOf(entry config.Policy, names []string) bool {
	return slices.ContainsFunc(names, func(name string) bool { return config.MatchAny(entry.Repositories, name) })
}

// yamlFlow quotes what would not be itself inside of brackets.
func yamlFlow(s string) string {
	if strings.ContainsAny(s, ": ") {
		return `"` + s + `"`
	}
	return s
}

// denied is a refusal by policy: its text is for people, and it is ErrDenied.
type denied string

func (d denied) Error() string { return string(d) }

func (d denied) Is(target error) bool { return target == ErrDenied }

// mayUse says why an image may not have its secrets, "" if it may. Each
// credential is told, so that the operator is asked once.
func (p *planner) mayUse(image string, secrets []config.Secret, keys []config.SSH) (refusal string) {
	var names, told []string
	for _, s := range secrets {
		names = append(names, s.Credential)
	}
	for _, s := range keys {
		names = append(names, s.Credential)
	}
	for i, name := range names {
		if slices.Contains(names[:i], name) {
			continue
		}
		if err := MayUse(p.Policy, p.names(), name); err != nil {
			told = append(told, err.Error())
		}
	}
	if len(told) == 0 {
		return ""
	}
	return fmt.Sprintf("image %s: %s", image, strings.Join(told, "; "))
}

// willFail warns of triggers whose credential policy does not allow: they
// stay, and fail where everybody sees it.
func (p *planner) willFail(triggers []config.Trigger) (warnings []string) {
	for _, t := range triggers {
		name := t.Credential()
		if name == "" {
			continue
		}
		if err := MayUse(p.Policy, p.names(), name); err != nil {
			warnings = append(warnings, fmt.Sprintf("trigger %s will fail: %s", t.Name, err))
		}
	}
	return warnings
}

// names are what a policy may call the source repository.
func (p *planner) names() []string { return p.Home.names(p.Event.Repository) }
