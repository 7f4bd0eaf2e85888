/* Read before every file of CPython, to link with the older of two versions of a
 * function where nothing but the handling of SVID errors, which Python does not use,
 * tells them apart. Compiled on glibc 2.36, the runtime then needs 2.34 (el9) and
 * not 2.35.
 */
#if defined(__x86_64__) && !defined(__ASSEMBLER__)
__asm__(".symver hypot,hypot@GLIBC_2.2.5"); /* 2.35 */
__asm__(".symver fmod,fmod@GLIBC_2.2.5");   /* 2.38 */
#elif defined(__aarch64__) && !defined(__ASSEMBLER__)
__asm__(".symver hypot,hypot@GLIBC_2.17");
__asm__(".symver fmod,fmod@GLIBC_2.17");
#endif
