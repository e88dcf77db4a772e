/* /opt/khshim/bin/khshim: starts khshim in the interpreter that it carries.
 *
 * A static program, since it must start in an image that has no shell and another C library,
 * and must say so where the folder was put elsewhere, which the kernel would call "not found".
 *
 * What the image says to its own loader, C library and OpenSSL must not reach khshim's: a
 * library that LD_PRELOAD names may not even load here. Such variables are renamed, and khshim
 * gives them back to the script (shim/runtime.py).
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define INTERPRETER HOME "/bin/python3"
#define EX_CONFIG 78 /* sysexits.h */

static const char *const hidden[] = {
    "LD_", "GLIBC_TUNABLES=", "GCONV_PATH=", "LOCPATH=", "NLSPATH=", "OPENSSL_",
};

extern char **environ;

static void say(const char *words)
{
    if (write(STDERR_FILENO, words, strlen(words)) < 0) {
        /* The exit status is all that is left. */
    }
}

static void hide(char **variable)
{
    for (size_t i = 0; i < sizeof hidden / sizeof *hidden; i++) {
        if (strncmp(*variable, hidden[i], strlen(hidden[i])) != 0)
            continue;
        char *renamed = malloc(sizeof PREFIX + strlen(*variable));
        if (renamed != NULL)
            *variable = strcat(strcpy(renamed, PREFIX), *variable);
        return;
    }
}

int main(int argc, char **argv)
{
    /* Isolated from the image's PYTHON* variables, and without site-packages to look for. */
    char *const options[] = {INTERPRETER, "-I", "-S", "-X", "utf8", MAIN};
    size_t count = sizeof options / sizeof *options;
    char **command = malloc((count + (size_t)argc + 1) * sizeof *command);

    for (char **variable = environ; *variable != NULL; variable++)
        hide(variable);
    if (command != NULL) {
        memcpy(command, options, sizeof options);
        size_t length = count;
        for (int i = 1; i < argc; i++)
            command[length++] = argv[i];
        command[length] = NULL;
        execve(INTERPRETER, command, environ);
    }
    say("khshim: its interpreter " INTERPRETER " cannot be started: ");
    say(strerror(errno));
    if (errno == ENOENT) {
        say(". khshim works at " HOME " only, and was started as ");
        say(argc > 0 ? argv[0] : "another file");
        say(": copy or mount its whole folder there");
    }
    say(".\n");
    return EX_CONFIG;
}
