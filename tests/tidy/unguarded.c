/* SPDX-License-Identifier: Apache-2.0 */
/* Built without any guard: what tests/tidy/hardened.py must notice. */
int main(void)
{
    return 0;
}
