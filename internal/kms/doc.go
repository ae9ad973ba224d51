// Package kms finds the variables of an environment that are AWS KMS
// ciphertexts and has them decrypted, in one bounded batch.
//
// The way of a value: Classify recognises candidates offline; without one
// nothing else of this package runs. Ask hands them to a child process, where
// Serve reads them and Resolve asks KMS; the child's memory goes with it, and
// what comes back over the pipe is a Result: per variable the plaintext, or why
// it stays as it is. Apply makes the environment of it.
//
// AWS does not document the layout of a ciphertext. It was read off public
// samples of 2014 to 2024, so a miss means "not recognised" and never proof.
//
// Nothing in here imports the AWS SDK: the one method that is needed of it is
// the Client interface, which package awskms fills.
package kms
