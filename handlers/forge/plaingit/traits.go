package plaingit

import "github.com/registry-build/registry-build/handlers/forge"

// Traits are what the git remote has for what forges differ in.
func (f *Forge) Traits() forge.Traits {
	return forge.Traits{
		forge.Comparison: "refs, at the start and while Redis was away",
		forge.Progress:   "in the push's output",
		forge.Lines:      "in the push's output",
		forge.Log:        "in the push's output",
		forge.GitOps:     "commit",
	}
}
