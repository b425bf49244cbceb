// Package github is the GitHub App: it reads signed deliveries, tells commits
// and pull requests how builds fare, and answers commands. It hides all of
// GitHub's API, its permissions and its limits, and works the same with
// github.com and GitHub Enterprise Server.
//
// A delivery is read by [App.Verify] and [App.Events], which are pure. What
// builds come to goes out by [App.Report], [App.Show] and [App.React]. Every
// call is made with a token for the one repository and the permissions that
// it needs; one client for each installation knows what GitHub's limits leave.
package github
