/* A check that is a program: writes its arguments to stderr, and exits with the first one's number. */
#include <stdio.h>
#include <stdlib.h>

int main(int argc, char **argv)
{
    for (int i = 2; i < argc; i++)
        fprintf(stderr, "%s\n", argv[i]);
    return argc > 1 ? atoi(argv[1]) : 0;
}
