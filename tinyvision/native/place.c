/* First fit: the fast way of Placement.first_fit in schedule/place.py, with the same result. */
#include <stdint.h>

/* Item i may not begin between lows[k] and highs[k] from the begin of others[k], for k from first[i]
 * up to first[i + 1]. Items are placed in `order`; `offsets` gets where. `spans` is room for two
 * numbers for each k of an item. */
void tv_first_fit(int64_t count, const int64_t *order, const int64_t *first, const int64_t *others,
                  const int64_t *lows, const int64_t *highs, int64_t *offsets, int64_t *spans)
{
    for (int64_t i = 0; i < count; i++) {
        offsets[i] = -1;
    }
    for (int64_t i = 0; i < count; i++) {
        const int64_t item = order[i];
        int64_t found = 0, offset = 0;
        for (int64_t k = first[item]; k < first[item + 1]; k++) {
            const int64_t base = offsets[others[k]];
            if (base < 0) {
                continue;
            }
            int64_t at = found++;
            const int64_t low = base + lows[k];
            for (; at > 0 && spans[2 * at - 2] > low; at--) {
                spans[2 * at] = spans[2 * at - 2];
                spans[2 * at + 1] = spans[2 * at - 1];
            }
            spans[2 * at] = low;
            spans[2 * at + 1] = base + highs[k];
        }
        for (int64_t k = 0; k < found && spans[2 * k] < offset; k++) {
            offset = spans[2 * k + 1] > offset ? spans[2 * k + 1] : offset;
        }
        offsets[item] = offset;
    }
}
