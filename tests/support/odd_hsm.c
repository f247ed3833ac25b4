/* SPDX-License-Identifier: Apache-2.0 */
/* A PKCS#11 module in front of SoftHSM that misbehaves as the first word of the file says that
 * ODD_HSM names:
 *   final      one wrong PIN more would lock the token
 *   locked     the PIN is locked already
 *   removed    the device goes when a key is to be used
 *   none       no mechanism that wraps
 *   nogcm      CKM_AES_GCM is not one of them
 *   hang       a login does not come back while the word is there
 *   crash      a login ends the process
 *   pry F...   at a login the rest of the file, paths with spaces between, is opened; and a socket:
 *              "F" or a dot a piece, then errno of the socket, goes to that name and ".out"
 *   babble     at a login it answers in its process's place, with what no terminal should get
 *   rubbish    the same, with no frame
 *   ODD_HSM_LOGINS=F   one byte is added to the file F for each login. */
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <p11-kit/pkcs11.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

static CK_FUNCTION_LIST *real;
static CK_FUNCTION_LIST odd;

static int is(const char *what)
{
    const char *path = secure_getenv("ODD_HSM");
    char said[16] = "";
    int fd = path == NULL ? -1 : open(path, O_RDONLY | O_CLOEXEC);

    if (fd < 0)
        return 0;
    ssize_t size = read(fd, said, sizeof said - 1);
    (void)close(fd);
    return size > 0 && strncmp(said, what, strlen(what)) == 0 && said[strlen(what)] <= ' ';
}

static CK_RV token_info(CK_SLOT_ID slot, CK_TOKEN_INFO *info)
{
    CK_RV answer = real->C_GetTokenInfo(slot, info);

    if (is("final"))
        info->flags |= CKF_USER_PIN_FINAL_TRY;
    if (is("locked"))
        info->flags |= CKF_USER_PIN_LOCKED;
    return answer;
}

static CK_RV mechanism_list(CK_SLOT_ID slot, CK_MECHANISM_TYPE *list, CK_ULONG *count)
{
    CK_RV answer = real->C_GetMechanismList(slot, list, count);

    if (is("none"))
        *count = 0;
    for (CK_ULONG i = 0; is("nogcm") && list != NULL && i < *count; i++)
        if (list[i] == CKM_AES_GCM)
            list[i] = CKM_AES_ECB;
    return answer;
}

/* What somebody would do who had written the module. */
static void pry(void)
{
    char text[4096] = "";
    char out[8192] = "";
    char name[512];
    char *at = text;
    const char *path = secure_getenv("ODD_HSM");
    int fd = open(path, O_RDONLY | O_CLOEXEC);

    if (fd < 0 || read(fd, text, sizeof text - 1) < 0)
        return;
    (void)close(fd);
    (void)strsep(&at, " ");
    for (const char *one = strsep(&at, " "); one != NULL; one = strsep(&at, " ")) {
        fd = open(one, O_RDONLY | O_CLOEXEC);
        (void)snprintf(out + strlen(out), sizeof out - strlen(out), "%s ", fd < 0 ? "." : one);
        if (fd >= 0)
            (void)close(fd);
    }
    int rc = socket(AF_INET, SOCK_STREAM, 0);
    (void)snprintf(out + strlen(out), sizeof out - strlen(out), "%d", rc < 0 ? errno : 0);
    (void)snprintf(name, sizeof name, "%s.out", path);
    fd = open(name, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    if (fd >= 0 && write(fd, out, strlen(out)) >= 0)
        (void)close(fd);
}

/* vault/hsm.h: a refusal of the first question; to whatever socket there is. */
static void babble(const char *how)
{
    static const unsigned char text[] = "\xff\x1b[31m\"}\n, set 00";
    unsigned char frame[16 + 3 + sizeof text - 1] = {
        [3] = 12 + 3 + sizeof text - 1, [4] = 1, [5] = 5, [15] = 1, [16] = 12,
        [18] = sizeof text - 1};

    memcpy(frame + 19, text, sizeof text - 1);
    if (strcmp(how, "rubbish") == 0)
        memset(frame, 0x41, sizeof frame);
    for (int fd = 3; fd < 32; fd++)
        (void)send(fd, frame, sizeof frame, MSG_NOSIGNAL | MSG_DONTWAIT);
}

static CK_RV login(CK_SESSION_HANDLE session, CK_USER_TYPE user, CK_UTF8CHAR *pin, CK_ULONG size)
{
    const char *counted = secure_getenv("ODD_HSM_LOGINS");
    struct timespec moment = {.tv_nsec = 50 * 1000 * 1000};
    int fd = counted == NULL ? -1 : open(counted, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);

    if (fd >= 0) {
        if (write(fd, "l", 1) != 1)
            return CKR_GENERAL_ERROR;
        (void)close(fd);
    }
    if (is("pry"))
        pry();
    if (is("babble"))
        babble("babble");
    if (is("rubbish"))
        babble("rubbish");
    while (is("hang"))
        (void)nanosleep(&moment, NULL);
    if (is("crash"))
        abort();
    return real->C_Login(session, user, pin, size);
}

static CK_RV decrypt_init(CK_SESSION_HANDLE session, CK_MECHANISM *mechanism, CK_OBJECT_HANDLE key)
{
    return is("removed") ? CKR_DEVICE_REMOVED : real->C_DecryptInit(session, mechanism, key);
}

__attribute__((visibility("default"))) CK_RV C_GetFunctionList(CK_FUNCTION_LIST **out)
{
    CK_C_GetFunctionList get = NULL;
    void *library = dlopen("/usr/lib/softhsm/libsofthsm2.so", RTLD_NOW | RTLD_LOCAL);
    void *symbol = library == NULL ? NULL : dlsym(library, "C_GetFunctionList");

    memcpy(&get, &symbol, sizeof get);
    if (get == NULL || get(&real) != CKR_OK)
        return CKR_GENERAL_ERROR;
    odd = *real;
    odd.C_GetFunctionList = C_GetFunctionList;
    odd.C_GetTokenInfo = token_info;
    odd.C_GetMechanismList = mechanism_list;
    odd.C_Login = login;
    odd.C_DecryptInit = decrypt_init;
    *out = &odd;
    return CKR_OK;
}
