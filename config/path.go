package config

import (
	"path"
	"strings"

	"github.com/containerd/platforms"
	"go.yaml.in/yaml/v3"
)

// path reads a path of the repository: slash-separated, relative to its root.
// The result is clean; what would leave the repository is refused here, and
// symbolic links are for those who know the commit.
func (r *reader) path(v *yaml.Node, key string) string {
	s, ok := r.text(v, `"`+key+`"`)
	if !ok {
		return ""
	}
	clean := path.Clean(s)
	switch {
	case s == "":
		r.errorf(v, `%q is empty; write a path relative to the root of the repository, "." is the root`, key)
	case strings.Contains(s, "${"):
		r.errorf(v, "%s %s: variables are not replaced in paths; write it out, or give a rule its own %s", key, r.show(v), key)
	case strings.Contains(s, "://") || strings.HasPrefix(s, "git@"):
		r.errorf(v, "%s %s is an address; it is a path in this repository", key, r.show(v))
	case strings.Contains(s, `\`):
		r.errorf(v, `%s %s holds a "\"; separate directories with "/"`, key, r.show(v))
	case strings.HasPrefix(s, "/"):
		r.errorf(v, `%s %s begins with "/"; write it relative to the root of the repository`, key, r.show(v))
	case strings.ContainsFunc(s, isControl):
		r.errorf(v, "%s %s holds a control character", key, r.show(v))
	case clean == ".." || strings.HasPrefix(clean, "../"):
		r.errorf(v, `%s %s leaves the repository; paths are relative to its root and stay inside`, key, r.show(v))
	case clean == ".git" || strings.HasPrefix(clean, ".git/"):
		r.errorf(v, "%s %s is git's own folder, which is no part of a commit", key, r.show(v))
	case key == "dockerfile" && (clean == "." || strings.HasSuffix(s, "/")):
		r.errorf(v, "dockerfile %s is a directory; name the file, like build/Dockerfile", r.show(v))
	case key == "file" && (clean == "." || strings.HasSuffix(s, "/")):
		r.errorf(v, "file %s is a directory; name the file, like deploy/kustomization.yaml", r.show(v))
	default:
		return clean
	}
	return ""
}

// platforms reads at most limit platforms in their normal form; 0 is any
// number. The limit goes when images of several platforms come.
func (r *reader) platforms(v *yaml.Node, limit int) []string {
	var out []string
	for i, n := range r.list(v, "platforms", "[linux/amd64]") {
		if limit > 0 && i == limit {
			r.errorf(n, "more than one platform is not supported yet and will come in a later version; name one until then")
			break
		}
		s, ok := r.text(n, "a platform")
		if !ok {
			continue
		}
		p, err := platforms.Parse(s)
		if err != nil || !strings.Contains(s, "/") || s != strings.ToLower(s) {
			r.errorf(n, "%s is no platform; write os/architecture, like linux/amd64 or linux/arm64", r.show(n))
			continue
		}
		out = append(out, platforms.Format(platforms.Normalize(p)))
	}
	return out
}
