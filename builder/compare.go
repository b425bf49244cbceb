package builder

import "github.com/registry-build/registry-build/config"

// Compare tells what merging would change.
func Compare(base, head *config.BuildFile, repository string) []Change { return nil }
