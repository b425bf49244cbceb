// Package kubernetes hides how a workload gets a new image: whether it may,
// in which order, and how the rollout ends.
//
// One firing is at least two requests, and none of them writes back an object
// that was read:
//
//	GET    the workload: authority, order, changes by hand
//	PATCH  the image of one container and what we note about it, on condition
//	       that the workload is still the one that was read
//	GET    again, and the pods, until the rollout has ended; between two looks
//	       nothing is held: Fire returns and is called again
//
// What was set is noted on the workload itself (see state), so that every
// server of an installation, and one that was restarted, decides alike.
package kubernetes
