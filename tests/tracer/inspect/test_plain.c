/* SPDX-License-Identifier: MIT */
/* tracer/inspect/answer: names of symbols as they are told. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <cmocka.h>

#include "base/cleanup.h"
#include "inspect/answer.h"

static const struct {
	const char *symbol, *plain; /* NULL: as it is */
} names[] = {
	{"settle", NULL},
	{"read@@GLIBC_2.2.5", "read"},
	{"_ZN4shop6settleEi", "shop::settle(int)"},
	{"_ZN3tok6settle17h9ae741ce2aa9dec2E", "tok::settle"},
	{"_ZN3tok5serve28_$u7b$$u7b$closure$u7d$$u7d$17hd9281ad869829344E.llvm.9659596524635774391",
	 "tok::serve::{{closure}}"},
	{"_ZN53_$LT$shop..Order$u20$as$u20$core..ops..drop..Drop$GT$4drop17h0123456789abcdefE",
	 "<shop::Order as core::ops::drop::Drop>::drop"},
	{"_ZN5tokio7runtime4task4core17Core$LT$T$C$S$GT$4poll17h0123456789abcdefE",
	 "tokio::runtime::task::core::Core<T,S>::poll"},
	{"_ZN4shop3h01E", "shop::h01"},
	{"_ZN17h0123456789abcdefE", "h0123456789abcdef"},
	{"_Z", NULL},
	{"_ZN3tok6settle17h9ae741ce", NULL},
};

static void a_symbol_is_told_as_its_author_wrote_it(void **state)
{
	(void)state;
	for (size_t i = 0; i < LSC_ARRAY_LEN(names); i++) {
		lsc_autofree char *plain = answer_plain(names[i].symbol);

		if (names[i].plain)
			assert_string_equal(plain, names[i].plain);
		else
			assert_null(plain);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_symbol_is_told_as_its_author_wrote_it),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
