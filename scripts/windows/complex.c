/* The C99 complex functions, by mingw: wine's ucrtbase lacks them and numpy calls them. Windows passes and returns complex
   numbers as structures, mingw's functions take the compiler's own type. */
#include <complex.h>
typedef struct { float r, i; } fc;
typedef struct { double r, i; } dc;
static float _Complex F(fc z) { float _Complex w; __real__ w = z.r; __imag__ w = z.i; return w; }
static double _Complex D(dc z) { double _Complex w; __real__ w = z.r; __imag__ w = z.i; return w; }
static fc f(float _Complex w) { fc z = {__real__ w, __imag__ w}; return z; }
static dc d(double _Complex w) { dc z = {__real__ w, __imag__ w}; return z; }
#define REAL(n) \
    float x_##n##f(fc z) { return n##f(F(z)); } \
    double x_##n(dc z) { return n(D(z)); } \
    double x_##n##l(dc z) { return n(D(z)); }
#define COMPLEX(n) \
    fc x_##n##f(fc z) { return f(n##f(F(z))); } \
    dc x_##n(dc z) { return d(n(D(z))); } \
    dc x_##n##l(dc z) { return d(n(D(z))); }
REAL(creal) REAL(cimag) REAL(carg) REAL(cabs)
COMPLEX(cexp) COMPLEX(ccos) COMPLEX(csin) COMPLEX(ctan) COMPLEX(ccosh) COMPLEX(csinh) COMPLEX(ctanh) COMPLEX(clog)
COMPLEX(csqrt) COMPLEX(cacos) COMPLEX(casin) COMPLEX(catan) COMPLEX(cacosh) COMPLEX(casinh) COMPLEX(catanh)
COMPLEX(conj) COMPLEX(cproj)
fc x_cpowf(fc a, fc b) { return f(cpowf(F(a), F(b))); }
dc x_cpow(dc a, dc b) { return d(cpow(D(a), D(b))); }
dc x_cpowl(dc a, dc b) { return d(cpow(D(a), D(b))); }
