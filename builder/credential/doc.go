// Package credential hides where secrets live and how they are kept out of
// every text that leaves: one file encrypted with age, the redactor that
// stands in front of logs and records, and the access tokens that people,
// builds and git use with this server.
package credential
