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
// methods of [Project] ([Project.Push], [Project.Tag], [Project.OpenMerge],
// [Project.CommentCommit]) and of [Merge] ([Merge.Comment], [Merge.Accept]), or
// by a real `git push` to [Project.PushURL]; each sends the webhooks that GitLab
// would, to where [Project.AddHook] or the API says. [Server.Settle] waits until
// they have been answered. What came of it is read from [Project.Statuses],
// [Merge.Notes], [Merge.Discussions], [Project.Hooks], [Server.Requests] and
// [Server.Deliveries]. [Server.FailNext], [Server.LoseDeliveries],
// [Server.HoldDeliveries] and [Server.DisableHook] make the server fail;
// Options.Version, Free, NoHookLogs and Without make it an older or a smaller one.
//
// A test with New fails on any violation of GitLab's shapes, and on a request
// that the double has no operation for. Whoever provokes one on purpose takes
// it with [Server.Violations].
package gitlabtest
