// Package picture is the model of what is on a host, with every decision that is made over it.
//
// It promises that the decisions are pure: what differs from before, what must be done to go back, whether
// what runs is what ran, what a step still has to do, what a commit would do to what runs. The adapter
// that talks to Compose and the host in memory of the tests run the same functions. Identity is compose project and service
// ([Key]), never a stack's name and never an image's name. Checks fail closed: what cannot be compared is not "as it was".
// Start reading at [Picture] and [Restore].
package picture
