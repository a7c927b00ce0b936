/* Stands in for libcuda.so.1 and prints what reaches it, so that the way through cuda-python is seen. */

#include <stdint.h>
#include <stdio.h>
#include <string.h>

#define SUCCESS 0
#define NOT_FOUND 500

typedef unsigned int word;

int cuInit(word flags) { return SUCCESS; }
int cuDriverGetVersion(int *version) { *version = 13000; return SUCCESS; }
int cuCtxGetDevice(int *device) { *device = 0; return SUCCESS; }

int cuDeviceGetAttribute(int *value, int attribute, int device)
{
    *value = attribute == 75 ? 8 : attribute == 76 ? 7 : 0; /* compute capability 8.7 */
    return SUCCESS;
}

int cuModuleLoadData(void **module, const void *image)
{
    printf("load %.7s\n", (const char *)image);
    *module = (void *)0x10;
    return SUCCESS;
}

int cuModuleGetFunction(void **function, void *module, const char *name)
{
    printf("function %p %s\n", module, name);
    *function = (void *)0x20;
    return SUCCESS;
}

int cuFuncSetAttribute(void *function, int attribute, int value)
{
    printf("attribute %p %d %d\n", function, attribute, value);
    return SUCCESS;
}

int cuLaunchKernel(void *function, word gx, word gy, word gz, word bx, word by, word bz, word shared,
                   void *stream, void **parameters, void **extra)
{
    const unsigned char *buffer = extra[1];
    size_t size = *(size_t *)extra[3];
    printf("launch %p %u %u %u %u %u %u %u %p %d\n", function, gx, gy, gz, bx, by, bz, shared, stream,
           parameters == NULL);
    printf("words %d %d %d\nbytes ", (int)(uintptr_t)extra[0], (int)(uintptr_t)extra[2],
           (int)(uintptr_t)extra[4]);
    for (size_t i = 0; i < size; i++)
        printf("%02x", buffer[i]);
    printf("\n");
    return SUCCESS;
}

int cuModuleUnload(void *module)
{
    printf("unload %p\n", module);
    fflush(stdout);
    return SUCCESS;
}

/* cuda-python asks for every function by name. */
int cuGetProcAddress_v2(const char *name, void **function, int version, uint64_t flags, int *status)
{
    static const struct { const char *name; void *function; } known[] = {
        {"cuInit", cuInit},
        {"cuDriverGetVersion", cuDriverGetVersion},
        {"cuCtxGetDevice", cuCtxGetDevice},
        {"cuDeviceGetAttribute", cuDeviceGetAttribute},
        {"cuModuleLoadData", cuModuleLoadData},
        {"cuModuleGetFunction", cuModuleGetFunction},
        {"cuFuncSetAttribute", cuFuncSetAttribute},
        {"cuLaunchKernel", cuLaunchKernel},
        {"cuModuleUnload", cuModuleUnload},
    };
    *function = NULL;
    for (size_t i = 0; i < sizeof known / sizeof *known; i++)
        if (strcmp(name, known[i].name) == 0)
            *function = known[i].function;
    if (status != NULL)
        *status = *function == NULL;
    return *function == NULL ? NOT_FOUND : SUCCESS;
}
