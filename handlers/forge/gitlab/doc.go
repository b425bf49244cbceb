// Package gitlab is one GitLab server, gitlab.com or somebody's own: it reads
// its webhooks, tells commits and merge requests how builds fare, and answers
// commands. It hides all of GitLab's API, its limits and what differs between
// its versions, and which Go client speaks to it.
//
// A delivery is read by [Forge.Verify] and [Forge.Events], which are pure. What
// builds come to goes out by [Forge.Report], [Forge.Show] and [Forge.React].
// Several servers stand side by side: each is a Forge, and its instance is in
// the key of each of its projects.
//
// Where things are, in the order in which they happen:
//
//	in      verify, hook_token          is the delivery a webhook's of ours
//	        event, event_*              a payload becomes events
//	        admit, confirm              are they what that webhook may tell, as GitLab says
//	asked   find, origin, pull          projects, where git finds them, merge requests
//	        permission                  who may do what; protected branches
//	        watch                       open merge requests and comments, for what was missed
//	out     report, report_about        a report goes three ways, and where it belongs:
//	        status, status_aim          … a commit status, in the pipeline that counts
//	        lines, lines_*              … a thread at the failing line, resolved when mended
//	        note, note_*                … one note with a table of the builds and the answers
//	        onboard, write              merge requests of ours
//	below   client, transport           one call: token, addresses, repetitions
//	        limit                       what the server lets us send
//	runs    missed, missed_resend       webhooks that are off, deliveries that failed
//	command hook, hook_*                webhooks: made, listed, tried, where they hang
//	        install, install_*, uninstall
//	        check, doctor               is the token good, and all the rest
//
// [Forge.Run] and the commands share webhooks, and everything shares the client,
// so this is one package.
package gitlab
