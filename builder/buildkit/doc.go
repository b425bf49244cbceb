// Package buildkit builds images with a BuildKit daemon. It hides BuildKit's
// client: sessions, frontend attributes, the status stream and what can be
// learned from its errors. To the rest of the program there is a Dockerfile
// and a context on one side, and on the other a digest in a registry, a plain
// log, or one sentence with the line that failed.
//
// What it holds to:
//
//   - The same steps give the same digest: the image's times are one constant,
//     never the commit's, and bases are pinned. From an empty cache that needs
//     Options.Reproducible, which has its price.
//   - Nothing is fetched that the Dockerfile's steps do not ask for: a
//     "# syntax=" line is answered by the daemon's own frontend.
//   - A registry password reaches its own registry only, and gets tokens for
//     the destination's repository only, or to pull exactly the bases that it
//     was given for. (A registry with Basic authentication takes the password
//     itself, for whatever it is asked, and does not say what that is: there
//     the destination's login does for the whole host, else the first base's.)
//   - Secrets and SSH keys stay in this process until a step mounts them; of a
//     key a step gets signatures only. Neither is part of BuildKit's cache key,
//     so who writes the same step on the same daemon is given what it made:
//     daemons are for one trust domain each.
//   - What may not be shown is hidden in each stream of a step by itself: in
//     the log that is made of them, one cuts the other's lines: see hide.go.
//   - What a fork sends is built with nothing of ours: see fork.go.
//   - What a step prints is never cut here: the daemon must run with
//     BUILDKIT_STEP_LOG_MAX_SIZE=-1 and BUILDKIT_STEP_LOG_MAX_SPEED=-1, and the
//     log's store has the cap.
package buildkit
