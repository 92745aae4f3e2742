/* The loops of shingles.py over each byte and word, loaded by native.py: the same numbers in less time. */

#include <stddef.h>
#include <stdint.h>
#include <string.h>

static const uint64_t SEED = 0x9E3779B97F4A7C15;
static const uint8_t IN_WORD[256] = {
    ['0' ... '9'] = 1, ['A' ... 'Z'] = 1, ['a' ... 'z'] = 1, ['_'] = 1, [128 ... 255] = 1,
};

static uint64_t mixed(uint64_t value) {
    value = (value ^ value >> 30) * 0xBF58476D1CE4E5B9;
    value = (value ^ value >> 27) * 0x94D049BB133111EB;
    return value ^ value >> 31;
}

static uint64_t eight(const uint8_t *bytes) {
    uint64_t value;
    memcpy(&value, bytes, 8);
    return value;
}

/* Writes where each word begins and ends, one after the other; returns the number of positions written. The last byte
   belongs to no word. `bounds` has room for one number a byte and one more: every position is written, and the count
   moves on only where a word begins or ends, because a branch taken at every fifth byte would dominate the cost. */
size_t word_bounds(const uint8_t *restrict data, size_t size, uint32_t *restrict bounds) {
    size_t found = 0;
    uint8_t last = 0;
    for (size_t place = 0; place < size; place++) {
        uint8_t inside = IN_WORD[data[place]];
        bounds[found] = (uint32_t)place;
        found += inside ^ last;
        last = inside;
    }
    return found;
}

/* Writes a hash of each word. Reads 8 bytes from a word's first byte on, even if it is shorter. */
void word_hashes(const uint8_t *data, const uint32_t *bounds, size_t words, uint64_t *hashes) {
    for (size_t word = 0; word < words; word++) {
        const uint8_t *begin = data + bounds[2 * word];
        size_t size = bounds[2 * word + 1] - bounds[2 * word];
        uint64_t value = eight(begin);
        if (size < 8) {
            value &= ((uint64_t)1 << 8 * size) - 1;
        } else if (size > 8) {
            size_t reach = size > 32 ? 56 : size > 16 ? 24 : 8;
            value = mixed(value) + size * SEED + eight(begin + size - 8);
            for (size_t place = 8; place < reach; place += 8)
                value = mixed(value) + eight(begin + (place < size - 8 ? place : size - 8));
        }
        hashes[word] = mixed(value);
    }
}

/* Writes a hash of each run of `width` words within one text, and the number of runs in each text.
   A text with fewer words is one run; a text without words has none. */
void run_hashes(const uint64_t *hashes, const int64_t *words, size_t texts, size_t width, uint64_t *next,
                int64_t *sizes) {
    for (size_t text = 0; text < texts; text++) {
        size_t number = (size_t)words[text], length = number < width ? number : width;
        uint64_t *first = next, value = 0, power = 1;
        for (size_t word = 0; word < length; word++) {
            value = value * SEED + hashes[word];
            power *= SEED;
        }
        if (length)
            *next++ = mixed(value);
        for (size_t word = length; word < number; word++) {
            value = value * SEED + hashes[word] - power * hashes[word - length];
            *next++ = mixed(value);
        }
        hashes += number;
        sizes[text] = next - first;
    }
}
