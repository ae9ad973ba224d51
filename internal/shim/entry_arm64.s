#include "textflag.h"

// Entry: see entry.go; the places of the order's parts are in shim.go.
//
// The stack is argc, argv[], NULL, envp[], NULL. It is left as it was found, for
// whoever is next. Kept in registers: R19 argv, R20 envp, R21 the flags, R22 the
// path; R23 walks through the order.
TEXT ·Entry(SB), NOSPLIT|NOFRAME, $0
	MOVD 0(RSP), R0
	ADD  $8, RSP, R19
	ADD  R0<<3, R19, R20
	ADD  $8, R20
	MOVD 0(R20), R23
	CBZ  R23, next

	// "ENTRYPOINT_SHIM=", byte for byte: the string may end at any of them.
	MOVD $name<>(SB), R1
	MOVD $16, R2

compare:
	MOVBU.P 1(R23), R3
	MOVBU.P 1(R1), R4
	CMP  R3, R4
	BNE  next
	SUB  $1, R2
	CBNZ R2, compare

	// The parent.
	MOVD $8, R2
	MOVD $0, R5

parent:
	MOVBU.P 1(R23), R3
	SUB  $97, R3
	CMP  $15, R3
	BHI  next
	LSL  $4, R5
	ORR  R3, R5
	SUB  $1, R2
	CBNZ R2, parent
	MOVD $173, R8 // getppid
	SVC
	CMP  R0, R5
	BNE  next

	// The flags and the signals.
	MOVBU.P 1(R23), R21
	SUB  $97, R21
	CMP  $3, R21
	BHI  next
	MOVD $16, R2
	MOVD $0, R5

ignore:
	MOVBU.P 1(R23), R3
	SUB  $97, R3
	CMP  $15, R3
	BHI  next
	LSL  $4, R5
	ORR  R3, R5
	SUB  $1, R2
	CBNZ R2, ignore
	MOVD R23, R22
	MOVBU 0(R22), R3
	CBZ  R3, next

	// rt_sigaction(signal, &{SIG_IGN}, NULL, 8) for each bit of R5.
	SUB  $64, RSP
	MOVD $1, R3
	MOVD R3, 0(RSP)
	MOVD ZR, 8(RSP)
	MOVD ZR, 16(RSP)
	MOVD ZR, 24(RSP)
	MOVD $1, R6

signal:
	CBZ  R5, foreground
	TBZ  $0, R5, unset
	MOVD R6, R0
	MOVD RSP, R1
	MOVD $0, R2
	MOVD $8, R3
	MOVD $134, R8
	SVC

unset:
	LSR  $1, R5
	ADD  $1, R6
	B    signal

	// TTOU is blocked meanwhile: out of the background it would stop us.
foreground:
	TBZ  $1, R21, listen
	MOVD $0, R0 // SIG_BLOCK
	MOVD $0x200000, R3
	MOVD R3, 0(RSP)
	MOVD RSP, R1
	ADD  $8, RSP, R2
	MOVD $8, R3
	MOVD $135, R8 // rt_sigprocmask
	SVC
	MOVD $172, R8 // getpid: we lead the group
	SVC
	MOVW R0, 16(RSP)
	MOVD $0, R0
	MOVD $0x5410, R1 // TIOCSPGRP
	ADD  $16, RSP, R2
	MOVD $29, R8 // ioctl
	SVC
	MOVD $2, R0 // SIG_SETMASK
	ADD  $8, RSP, R1
	MOVD $0, R2
	MOVD $8, R3
	MOVD $135, R8
	SVC

	// Our pid, digit by digit from the last, and then to its place.
listen:
	TBZ  $0, R21, execute
	MOVD 8(R20), R7
	CBZ  R7, execute
	ADD  $11, R7 // behind "LISTEN_PID="
	MOVD $172, R8
	SVC
	MOVD $10, R2
	ADD  $32, RSP, R1
	MOVB ZR, 0(R1)

digit:
	UDIV R2, R0, R3
	MSUB R2, R0, R3, R4
	ADD  $48, R4
	SUB  $1, R1
	MOVB R4, 0(R1)
	MOVD R3, R0
	CBNZ R0, digit

copy:
	MOVBU.P 1(R1), R3
	MOVB.P R3, 1(R7)
	CBNZ R3, copy

execute:
	ADD  $64, RSP
	MOVD R22, R0
	MOVD R19, R1
	ADD  $8, R20, R2
	MOVD $221, R8 // execve
	SVC

next:
	B github·com∕codeontap∕entrypoint∕internal∕early·Entry(SB)

DATA name<>+0(SB)/8, $"ENTRYPOI"
DATA name<>+8(SB)/8, $"NT_SHIM="
GLOBL name<>(SB), RODATA|NOPTR, $16
