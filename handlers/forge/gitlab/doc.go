// Package gitlab is one GitLab server, gitlab.com or somebody's own: it reads
// its webhooks, tells commits and merge requests how builds fare, and answers
// commands. It hides all of GitLab's API, its limits and what differs between
// its versions, and which Go client speaks to it.
//
// A delivery is read by [Forge.Verify] and [Forge.Events], which are pure. What
// builds come to goes out by [Forge.Report], [Forge.Show] and [Forge.React].
// Several servers stand side by side: each is a Forge, and its instance is in
// the key of each of its projects.
package gitlab
