// Package registry reads and tags images in OCI registries. It hides how a
// registry is spoken to (which scheme, which token, what may be tried again
// and when) and keeps "latest means latest": tags move forward only, and all
// tags of a request move or none.
//
// The order inside Put is what makes that hold:
//
//	lease the repository -> where do the tags stand, what do they name now
//	  -> which may move (builder.MayMove) -> fence -> record where they will
//	  stand, fenced by the lease -> put, read back -> end the lease
//
// Positions are recorded before the tags are written. Killed in between, a
// build leaves a tag that is older than its recorded place, which its next
// attempt mends; the other order would leave a tag that an older build could
// take back.
//
// Assembling an index out of the images of several platforms belongs here
// too, as a file of its own, before the tags are put.
package registry
