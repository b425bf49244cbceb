package config

import (
	"errors"
	"net/url"
	"regexp"
	"strings"

	"go.yaml.in/yaml/v3"
)

// maxNodePath is the longest path into a manifest, in bytes.
const maxNodePath = 256

// forgeRepository is owner/name or FORGE:owner/name. GitLab's groups may be
// several deep.
var forgeRepository = regexp.MustCompile(`^(?:([a-z0-9][a-z0-9-]*):)?[A-Za-z0-9_][A-Za-z0-9_.-]*(?:/[A-Za-z0-9_-][A-Za-z0-9_.-]*)+$`)

// nodeKeys say where in the file the digest goes.
func nodeKeys() []string { return []string{"kustomize", "helm", "path"} }

func (r *reader) gitops(v *yaml.Node, by maker) *GitOps {
	g := &GitOps{}
	var repository *yaml.Node
	seen, ok := r.section(v, by.section+".gitops", fields{
		"repository": func(v *yaml.Node) {
			repository = v
			g.Repository = r.checked(v, "repository", func(s string) error { return checkManifests(s, by.operator) })
		},
		"branch":      func(v *yaml.Node) { g.Branch = r.checked(v, "branch", checkBranch) },
		"file":        func(v *yaml.Node) { g.File = r.path(v, "file") },
		"kustomize":   func(v *yaml.Node) { g.Kustomize = r.checked(v, "kustomize", checkNode) },
		"helm":        func(v *yaml.Node) { g.Helm = r.checked(v, "helm", checkNode) },
		"path":        func(v *yaml.Node) { g.Path = r.checked(v, "path", checkNode) },
		"pullRequest": func(v *yaml.Node) { g.PullRequest, _ = r.boolean(v, "pullRequest") },
		"credential":  func(v *yaml.Node) { g.Credential = r.credential(v) },
	})
	if !ok {
		return g
	}
	if seen["repository"] == nil {
		r.errorf(v, "the trigger names no repository; write repository: owner/name, where the manifests are")
	}
	if seen["file"] == nil {
		r.errorf(v, "the trigger names no file; write file: and the path of the manifest in that repository")
	}
	places := 0
	for _, key := range nodeKeys() {
		if seen[key] != nil {
			places++
		}
	}
	if places != 1 {
		r.errorf(v, `where in the file the digest goes is said by one of kustomize (an entry of images:), helm (a path to values, like image) and path (a path to a text, like "spec.template.spec.containers[0].image"); this has %d of them`, places)
	}
	if repository == nil {
		return g
	}
	switch address := strings.HasPrefix(g.Repository, "https://"); {
	case address && seen["credential"] == nil:
		r.errorf(repository, "a repository at an address is written to with a credential; add credential: NAME, of kind token or password")
	case !address && seen["credential"] != nil:
		r.errorf(seen["credential"], "a credential is for a repository at an https:// address; a forge's own is written to with the right that the forge gave us: leave it out")
	}
	return g
}

// checkManifests says why a text names no git repository to write to.
// operator: no forge is the same as that of the build.
func checkManifests(s string, operator bool) error {
	forms := "owner/name at the same forge, FORGE:owner/name or https://…"
	if operator {
		forms = "FORGE:owner/name, like github:acme/deploy, or https://…"
	}
	scheme, _, hasScheme := strings.Cut(s, "://")
	m := forgeRepository.FindStringSubmatch(s)
	switch {
	case len(s) > 2048 || strings.ContainsFunc(s, isControl):
		return errors.New("this is no repository; write " + forms)
	case strings.Contains(s, "${"):
		return errors.New("variables are not replaced here; write the name out")
	case scheme == "http" && hasScheme:
		return errors.New("over http:// anybody on the way could read the credential; write https://")
	case scheme == "ssh" && hasScheme, strings.HasPrefix(s, "git@"):
		return errors.New("repositories are not written to over ssh; write " + forms)
	case scheme == "https" && hasScheme:
		return checkGitURL(s)
	case m == nil || hasScheme || strings.Contains(s, ".."):
		return errors.New("this is no repository; write " + forms)
	case operator && m[1] == "":
		return errors.New("the server file's triggers belong to no forge; write " + forms)
	}
	return nil
}

func checkGitURL(s string) error {
	u, err := url.Parse(s)
	switch {
	case err != nil || u.Hostname() == "" || strings.Trim(u.Path, "/") == "":
		return errors.New("the address is not valid; write https://host/path.git")
	case u.User != nil:
		return errors.New("the address holds a user name or password, which everybody who reads the file can see; remove it and name a credential")
	case u.RawQuery != "" || u.Fragment != "":
		return errors.New("the address has more than a host and a path; remove the rest")
	case strings.ContainsAny(s, "%\\* ") || strings.Contains(u.Path, "//") || strings.Contains(u.Path+"/", "/./") || strings.Contains(u.Path+"/", "/../"):
		// Policy looks at the address as it is written.
		return errors.New(`the address is not plain; write https://host/path.git without ".", ".." and escaped characters`)
	}
	return nil
}

// checkBranch is git's rule for names of branches
// (https://git-scm.com/docs/git-check-ref-format), as far as people break it.
func checkBranch(s string) error {
	switch {
	case strings.HasPrefix(s, "refs/"):
		return errors.New("write the short name, like main")
	case s == "" || len(s) > 255 || strings.ContainsAny(s, " ~^:?*[\\") || strings.ContainsFunc(s, isControl),
		strings.HasPrefix(s, "-"), strings.HasPrefix(s, "/"), strings.HasSuffix(s, "/"), strings.HasSuffix(s, "."),
		strings.Contains(s, ".."), strings.Contains(s, "//"), strings.Contains(s, "@{"), strings.HasSuffix(s, ".lock"),
		strings.HasPrefix(s, "."), strings.Contains(s, "/."):
		return errors.New("git allows no branch of this name; write the short name of one, like main")
	}
	return nil
}

// checkNode takes any text for what is looked for in the manifest: what is
// there is known when the file is read.
func checkNode(s string) error {
	switch {
	case strings.TrimSpace(s) == "" || strings.TrimSpace(s) != s:
		return errors.New("it is empty or has spaces around it; write what stands in the file")
	case len(s) > maxNodePath:
		return errors.New("it has more than 256 bytes")
	case strings.ContainsFunc(s, isControl):
		return errors.New("it holds a control character")
	case strings.Contains(s, "${"):
		return errors.New("variables are not replaced here; write it out")
	}
	return nil
}
