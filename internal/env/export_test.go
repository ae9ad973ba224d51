package env

// ReadText is ReadDotenv without the file, for the fuzzer.
func ReadText(path, content string, base Environment) ([]Variable, []string, error) {
	text, err := plainText(path, []byte(content))
	if err != nil {
		return nil, nil, err
	}
	return readStatements(path, text, base)
}
