package gitlab

import "github.com/registry-build/registry-build/handlers/forge"

// Traits are what GitLab has for what forges differ in.
func (f *Forge) Traits() forge.Traits {
	return forge.Traits{
		forge.Proof:       "token in a header, compared in constant time",
		forge.Redelivery:  "asked for again, where the server keeps a log (17.3)",
		forge.Comparison:  "pushes, merge requests, comments; `events: poll` hears of all so",
		forge.Clone:       "the server's token",
		forge.Statuses:    "statuses in the commit's pipeline",
		forge.Lines:       "thread in the merge request, resolved when mended; comment on the commit",
		forge.Sticky:      "on merge requests, with a table of the builds; on commits",
		forge.Reactions:   "emoji, on merge requests",
		forge.OnCommits:   "yes",
		forge.Pulls:       "merge requests, forks in a lane of their own",
		forge.Permissions: "Developer and above",
		forge.Protection:  "protected branches",
		forge.GitOps:      "commit, merge request",
		forge.Onboarding:  "`onboard: true`: a merge request, once",
	}
}
