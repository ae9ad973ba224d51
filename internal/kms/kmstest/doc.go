// Package kmstest stands in for AWS KMS: it builds ciphertexts laid out as KMS
// lays them out, and serves the part of its protocol that decrypts and encrypts
// (awsJson1.1, TrentService), with every failure on request. Nothing of it is
// cryptography: what it calls a ciphertext holds its plaintext in a cheap
// disguise, so that it can be restarted and still decrypt.
package kmstest
