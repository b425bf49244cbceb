package builder

import (
	"fmt"
	"path"
	"slices"
	"strings"
)

// Home is where a source repository's images are by default, and what a policy
// knows it by. It is bound to the forge's own id of the repository, by whoever
// comes first: one that is renamed or transferred keeps it, and one that takes
// the old name gets nothing of it. The zero Home is that of a repository that
// nobody else could be mistaken for.
type Home struct {
	Path   string `json:"path,omitempty"`   // owner/name, lower case, as it was when it was first seen
	Holder string `json:"holder,omitempty"` // key of another repository that holds the name which this one has now
	// Others are the names that it took later, as far as nobody had them.
	Others []string `json:"others,omitempty"`
}

// HomeName is the name under which a repository claims its home. Where its
// owner is called like a forge it is below its own forge: github/acme/shop is
// where GitHub's acme/shop goes when another forge has one, and must not lie
// below the home of somebody who calls himself github.
func HomeName(r Repository) string {
	name := strings.ToLower(path.Join(r.Owner, r.Name))
	switch first, _, _ := strings.Cut(strings.ToLower(r.Owner), "/"); first {
	case "git", "github", "gitlab", "gitea", "gitee", "coding", "codeup":
		return r.Forge + "/" + name
	}
	return name
}

// path is the home below the default registry.
func (h Home) path(r Repository) (string, error) {
	switch {
	case h.Path != "":
		return h.Path, nil
	case h.Holder == "":
		return HomeName(r), nil
	}
	return "", fmt.Errorf("%s belongs to another repository (%s), which had this name before; this one is %s, and a policy can name it so", HomeName(r), h.Holder, r.Key())
}

// names are what a policy may call the repository: its key, the names that it
// has had, first of all, and the one that it has now, unless that is somebody
// else's.
func (h Home) names(r Repository) []string {
	names := []string{r.Key()}
	if h.Path != "" {
		names = append(names, h.Path)
	}
	names = append(names, h.Others...)
	if now := strings.TrimPrefix(r.FullName(), "/"); h.Holder == "" && !slices.Contains(names, now) {
		names = append(names, now)
	}
	return names
}
