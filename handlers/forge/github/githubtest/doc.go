// Package githubtest is a double of github.com that nobody can tune to our
// code: every request to its API, every response and every webhook that it
// sends is held against GitHub's own OpenAPI description (npm package
// @octokit/openapi, installed by `make test-deps`). What the description does
// not say, limits, permissions, redirects, the rules of deliveries, is done as
// GitHub's documentation says; the address of the page stands beside it.
//
// A test begins with
//
//	s := githubtest.New(t)                                     // or Start(Options) without a test
//	repo, err := s.AddRepo("acme/shop", githubtest.RepoOptions{Private: true, Files: map[string]string{"Dockerfile": "FROM scratch\n"}})
//	app, err := s.AddApp(githubtest.AppOptions{HookURL: ours}) // or the manifest flow: POST s.URL+"/settings/apps/new"
//	inst, err := app.Install("acme")                           // or Install("acme", "acme/shop")
//
// and points the code under test at s.API (REST, as on GitHub Enterprise
// Server) and s.URL (web pages, OAuth, git). People act by methods of [Repo]
// ([Repo.Push], [Repo.Tag], [Repo.OpenPull], [Repo.Comment], [Repo.PressButton]
// and so on) and of [Installation], or by a real `git push` to [Repo.PushURL];
// each sends the webhooks that GitHub would. [Server.Settle] waits until they
// have been answered. What came of it is read from [Repo.CheckRuns],
// [Repo.Statuses], [Repo.Comments], [Repo.Deployments], [Server.Requests] and
// [Server.Deliveries]. [Server.FailNext] and [Server.LoseDeliveries] make
// github.com fail.
//
// A test with New fails on any violation of the description. Whoever provokes
// one on purpose, such as a text over a limit, takes it with [Server.Violations].
package githubtest
