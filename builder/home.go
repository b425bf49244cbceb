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
}

// HomeName is the name under which a repository claims its home.
func HomeName(r Repository) string { return strings.ToLower(path.Join(r.Owner, r.Name)) }

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

// names are what a policy may call the repository: its key, the name that it
// had when it was first seen, and the one that it has now, unless that is
// somebody else's.
func (h Home) names(r Repository) []string {
	names := []string{r.Key()}
	if h.Path != "" {
		names = append(names, h.Path)
	}
	if now := strings.TrimPrefix(r.FullName(), "/"); h.Holder == "" && !slices.Contains(names, now) {
		names = append(names, now)
	}
	return names
}
