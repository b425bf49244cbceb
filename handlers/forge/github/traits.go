package github

import "github.com/registry-build/registry-build/handlers/forge"

// Traits are what GitHub has for what forges differ in.
func (a *App) Traits() forge.Traits {
	return forge.Traits{
		forge.Proof:       "HMAC over the body",
		forge.Redelivery:  "asked for again, 3 days back",
		forge.Comparison:  "pushes, pull requests, comments",
		forge.Clone:       "token for one repository, read only",
		forge.Statuses:    "check runs and statuses",
		forge.Progress:    "check run, every 5 s",
		forge.Lines:       "annotation",
		forge.Log:         "its end, in the check run",
		forge.Buttons:     "Cancel, Rebuild, No cache; re-run",
		forge.Sticky:      "on pull requests",
		forge.Reactions:   "reaction, on pull requests",
		forge.OnCommits:   "each answer a comment",
		forge.Pulls:       "yes, forks in a lane of their own",
		forge.WouldBe:     "`pullRequests: merge`",
		forge.MergeQueue:  "`merge_group`",
		forge.Permissions: "read, write, admin of the repository",
		forge.Protection:  "rules and rulesets",
		forge.Deployments: "`deployments: true`",
		forge.GitOps:      "commit, pull request",
		forge.Onboarding:  "page after the installation, a remark once",
	}
}
