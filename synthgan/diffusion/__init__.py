"""A small diffusion model of scores and categories: how rows are noised, denoised, and drawn.

A row is a vector of f numbers x, each standard normal over the table, and c categories (`NormalScores`
makes both). Time t runs from 0, the row itself, to 1, noise that tells nothing. With a(t) the share of the
signal that is left, numbers are diffused as in Ho et al. (2020) and categories of K values as in
Hoogeboom et al. (2021):

    q(x_t | x_0) = N(sqrt(a) x_0, 1 - a)                                                         (1)
    q(c_t | c_0) = a [c_t = c_0] + (1 - a) / K                                                   (2)

and so is a step from s to a later t, with a(t) / a(s) in place of a. One network sees x_t, c_t and t. It
predicts v = sqrt(a) noise - sqrt(1 - a) x_0 for numbers (Salimans & Ho 2022) and p(c_0 | x_t, c_t) for
categories. Where columns are independent these are 0, and the frequency of c_0 times (2): the network
has to learn only what columns tell of each other, and untrained it draws independent columns. The model is
that of TabDDPM (Kotelnikov et al. 2023), in continuous time and with conditions: the network is also
trained on rows of which some columns are known, that is, not noised, and so told. (The alternative, to
put known values into the rows of a network trained without them, RePaint, has to take each step some ten
times over before the other columns follow.)

**Shapes**: b rows, f numbers, c categories, w all values of all categories, h `hidden_dim`.

References
----------
Ho et al. (2020), "Denoising Diffusion Probabilistic Models". Hoogeboom et al. (2021), "Argmax Flows and
Multinomial Diffusion". Nichol & Dhariwal (2021), "Improved Denoising Diffusion Probabilistic Models".
Salimans & Ho (2022), "Progressive Distillation for Fast Sampling of Diffusion Models". Lugmayr et al.
(2022), "RePaint". Kotelnikov et al. (2023), "TabDDPM".
"""
