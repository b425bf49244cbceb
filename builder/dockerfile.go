package builder

import (
	"path"
	"slices"
	"strings"
)

// IsDockerfile reports whether a path of a repository is a Dockerfile of its
// own by its name, and not somebody else's that came with a dependency, nor a
// test's.
func IsDockerfile(file string) bool {
	for dir := range strings.SplitSeq(path.Dir(file), "/") {
		if slices.Contains([]string{"vendor", "node_modules", "third_party", "testdata"}, dir) {
			return false
		}
	}
	name := path.Base(file)
	return name == "Dockerfile" || strings.HasPrefix(name, "Dockerfile.") && name != "Dockerfile.dockerignore" || strings.HasSuffix(name, ".Dockerfile")
}
