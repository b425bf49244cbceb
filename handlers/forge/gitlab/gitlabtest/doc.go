// Package gitlabtest is a double of a GitLab server that misbehaves as GitLab
// does: it switches webhooks off that fail, sends none for pushes of many
// refs, refuses transitions of statuses, limits requests and is slow to see
// what it has just told. What GitLab's documentation or source says stands in
// a comment with its page.
//
// A test begins with
//
//	s := gitlabtest.New(t)                                       // or Start(Options) without a test
//	project, err := s.AddProject("acme/platform/shop", gitlabtest.ProjectOptions{Files: map[string]string{"Dockerfile": "FROM scratch\n"}})
//	project.SetMember("alice", gitlabtest.Developer)
//	token, err := project.CreateToken(gitlabtest.TokenOptions{Level: gitlabtest.Maintainer, Scopes: []string{"api"}})
//
// and points the code under test at s.URL, with token.Value. People act by
// methods of [Project] ([Project.Push], [Project.Tag], [Project.Delete],
// [Project.OpenMerge]) and [Merge] ([Merge.Comment], [Merge.Accept]) and so on,
// or by a real `git push` to [Project.PushURL]; each sends the webhooks that
// GitLab would. [Server.Settle] waits until they have been answered. What came
// of it is read from [Project.Statuses], [Merge.Notes], [Merge.Discussions],
// [Server.Requests] and [Server.Deliveries]. [Server.FailNext],
// [Server.LoseDeliveries], [Server.SpendRequests] and [Project.HoldStatuses]
// make the server fail.
//
// A test with New fails on any exchange whose parameters or keys do not fit
// the types of a Go client of GitLab's API (shapetable.go). Whoever sends such
// a thing on purpose takes it with [Server.Violations].
package gitlabtest
