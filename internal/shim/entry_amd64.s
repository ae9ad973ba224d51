#include "textflag.h"

// Entry: see entry.go; the places of the order's parts are in shim.go.
//
// The stack is argc, argv[], NULL, envp[], NULL. It is left as it was found, for
// whoever is next. Kept in registers: R12 argv, R13 envp, R14 the flags, R15 the
// path; SI walks through the order.
TEXT ·Entry(SB), NOSPLIT|NOFRAME, $0
	MOVQ 0(SP), AX
	LEAQ 8(SP), R12
	LEAQ 16(SP)(AX*8), R13
	MOVQ 0(R13), SI
	TESTQ SI, SI
	JZ   next

	// "ENTRYPOINT_SHIM=", byte for byte: the string may end at any of them.
	LEAQ name<>(SB), DI
	MOVQ $16, CX

compare:
	MOVB 0(SI), AX
	CMPB AX, 0(DI)
	JNE  next
	INCQ SI
	INCQ DI
	DECQ CX
	JNZ  compare

	// The parent.
	MOVQ $8, CX
	XORQ BX, BX

parent:
	MOVBLZX 0(SI), AX
	SUBL $97, AX
	CMPL AX, $15
	JHI  next
	SHLQ $4, BX
	ORQ  AX, BX
	INCQ SI
	DECQ CX
	JNZ  parent
	MOVQ SI, R15
	MOVQ $110, AX // getppid
	SYSCALL
	CMPQ AX, BX
	JNE  next

	// The flags and the signals.
	MOVQ R15, SI
	MOVBLZX 0(SI), R14
	SUBL $97, R14
	CMPL R14, $3
	JHI  next
	INCQ SI
	MOVQ $16, CX
	XORQ BX, BX

ignore:
	MOVBLZX 0(SI), AX
	SUBL $97, AX
	CMPL AX, $15
	JHI  next
	SHLQ $4, BX
	ORQ  AX, BX
	INCQ SI
	DECQ CX
	JNZ  ignore
	MOVQ SI, R15
	CMPB 0(SI), $0
	JEQ  next

	// rt_sigaction(signal, &{SIG_IGN}, NULL, 8) for each bit of BX.
	SUBQ $64, SP
	MOVQ $1, 0(SP)
	MOVQ $0, 8(SP)
	MOVQ $0, 16(SP)
	MOVQ $0, 24(SP)
	MOVQ $1, R9

signal:
	TESTQ BX, BX
	JZ   foreground
	SHRQ $1, BX
	JCC  unset
	MOVQ R9, DI
	MOVQ SP, SI
	XORQ DX, DX
	MOVQ $8, R10
	MOVQ $13, AX
	SYSCALL

unset:
	INCQ R9
	JMP  signal

	// TTOU is blocked meanwhile: out of the background it would stop us.
foreground:
	TESTL $2, R14
	JZ   listen
	XORQ DI, DI // SIG_BLOCK
	MOVQ $0x200000, 0(SP)
	MOVQ SP, SI
	LEAQ 8(SP), DX
	MOVQ $8, R10
	MOVQ $14, AX // rt_sigprocmask
	SYSCALL
	MOVQ $39, AX // getpid: we lead the group
	SYSCALL
	MOVL AX, 16(SP)
	XORQ DI, DI
	MOVQ $0x5410, SI // TIOCSPGRP
	LEAQ 16(SP), DX
	MOVQ $16, AX // ioctl
	SYSCALL
	MOVQ $2, DI // SIG_SETMASK
	LEAQ 8(SP), SI
	XORQ DX, DX
	MOVQ $8, R10
	MOVQ $14, AX
	SYSCALL

	// Our pid, digit by digit from the last, and then to its place.
listen:
	TESTL $1, R14
	JZ   execute
	MOVQ 8(R13), DI
	TESTQ DI, DI
	JZ   execute
	ADDQ $11, DI // behind "LISTEN_PID="
	MOVQ $39, AX
	SYSCALL
	MOVQ $10, CX
	LEAQ 32(SP), SI
	MOVB $0, 0(SI)

digit:
	XORQ DX, DX
	DIVQ CX
	ADDQ $48, DX
	DECQ SI
	MOVB DX, 0(SI)
	TESTQ AX, AX
	JNZ  digit

copy:
	MOVB 0(SI), AX
	MOVB AX, 0(DI)
	INCQ SI
	INCQ DI
	TESTB AX, AX
	JNZ  copy

execute:
	ADDQ $64, SP
	MOVQ R15, DI
	MOVQ R12, SI
	LEAQ 8(R13), DX
	MOVQ $59, AX // execve
	SYSCALL

next:
	JMP github·com∕codeontap∕entrypoint∕internal∕early·Entry(SB)

DATA name<>+0(SB)/8, $"ENTRYPOI"
DATA name<>+8(SB)/8, $"NT_SHIM="
GLOBL name<>(SB), RODATA|NOPTR, $16
