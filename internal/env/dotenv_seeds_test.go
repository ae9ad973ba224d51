package env_test

// dotenvSeeds are files with a trap each. They are compared with python-dotenv
// and seed the fuzzer.
var dotenvSeeds = []string{
	"",
	"\n \n\t\n",
	"# comment\n  # another\n",
	"B=b",
	"B=b\nC=c\n",
	"B=b\r\nC=c\r\n",
	"B=b\rC=c\r",
	"export B=b\nexport\tC=c\nexport=d\nexport  D = d\n",
	"export \nB=b",
	"export",
	"B=\nC=''\nD=\"\"\n",
	"B= # c\n", // python-dotenv #600: the value is "# c"
	"B=#c\nC=a#b\nD=a #b\nE='a' # b\nF='a'#b\n",
	"B=a b  c \n",
	"B='a # b'\nC=\"a # b\"\n",
	`B='a\nb\'c\\d'` + "\n" + `C="a\nb\"c\\d\te\'f\$g"` + "\n" + `D=a\nb` + "\n",
	"B='two\nlines'\nC=\"two\r\nlines\"\n",
	`B='ends in a backslash\'` + "\n",                  // no other quote follows: it closes
	`B='ends in a backslash\'` + "\n" + `C='c'` + "\n", // it does not, and C is in the value
	`B='it's'` + "\n",                     // text after the quote
	`B="not closed` + "\n" + `C=c` + "\n", // dropped in silence by python-dotenv
	`B='not closed` + "\n",
	`'B'=b` + "\n" + `'C D'=c` + "\n" + `"E"=e` + "\n",
	`''=b`, `'B=b`, `'B=C'=b`, `=b`, `B C=c`, `B C`, `B`, `B # c`, `B#c=d`,
	"B=b\nB=c\n", "B=b\nB\n", "B\nC=${B:-x}\n",
	"B=pa$SECRETword\nC=$A\nD='$A'\nE=${A}\nF='${A}'\nG=\"${A}\"\n",
	"B=b\nC=${B}${B}\nD=${C:-x}\nE=${NONE}\nF=${NONE:-x y}\nG=${NONE:-}\nH=${EMPTY:-x}\n",
	"B=${A:x}\nC=${A\nD=${A:-\nE=${}\nF=${:-x}\nG=${${A}}\nH=${NONE:-${A}}\nI=$${A}\nJ=\\${A}\n",
	"A=file\nB=${A}\nHOME=x\nC=${HOME}\n", // the real one wins
	"B={\"json\": [1, \"two\"]}\nC=postgres://u:p%40ss@h:5432/db?x=1#frag\n",
	"B==b=\n==b\n",
	"B = b\n C=c\n\tD\t=\td\n",
	"B=é\nÉ=e\nC=\u00a0c\u00a0\u2003#d\n\u00a0D=d\n",
	"B=a\x1c#b\nC=a\u0085b \n",
	"B=\"a\" b\nC=c\n",
	"B=a\\\nC=c\n",
	"PYTHONPATH=/x\nENTRYPOINT_GRACE=3s\n",
}
