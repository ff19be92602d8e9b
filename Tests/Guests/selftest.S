# A boot sector that proves that guests run at all: it goes to 32-bit protected mode, prints "guest code runs" on COM1
# and resets the machine, which ends a QEMU that was told not to reboot. The host boots it before it relies on
# hardware acceleration; its bytes stand in Sources/QEMUHost/AccelerationTest.swift.

        .code16
        .globl  _start
_start: cli
        xorw    %ax, %ax
        movw    %ax, %ds
        lgdtw   table
        movl    %cr0, %eax
        orb     $1, %al
        movl    %eax, %cr0
        ljmp    $8, $protected

        .code32
protected:
        movw    $16, %ax
        movw    %ax, %ds
        movl    $text, %esi
        movw    $0x3f8, %dx
next:   lodsb
        testb   %al, %al
        jz      done
        outb    %al, %dx
        jmp     next
done:   movb    $0xfe, %al
        outb    %al, $0x64
halt:   hlt
        jmp     halt

text:   .asciz  "guest code runs\r\n"
        .balign 8
gdt:    .quad   0, 0x00cf9a000000ffff, 0x00cf92000000ffff
table:  .word   23
        .long   gdt
        .org    510
        .word   0xaa55
